"""What a step's process cannot do, each attempt shown to succeed where there is no box."""

from __future__ import annotations

import platform
import signal
import sqlite3
import textwrap
from pathlib import Path

import pytest

from tests.support.boxed import run_boxed, run_unboxed

READING = {
    "read a file": "open(secret).read()",
    "read a file through the root of its own process": "open(f'/proc/self/root{secret}').read()",
    "list a folder": "os.listdir(outside)",
    "open the database": "sqlite3.connect(database).execute('select * from jobs').fetchall()",
    "read its parent's environment": "open(f'/proc/{os.getppid()}/environ', 'rb').read()",
}
WRITING = {
    "write a new file": "open(outside + '/new', 'w')",
    "add to a file": "open(secret, 'a')",
    "cut a file by its path": "os.truncate(secret, 0)",
    "cut a file while opening it for reading": "os.open(secret, os.O_RDONLY | os.O_TRUNC)",
    "remove a file": "os.unlink(secret)",
    "move a file into the scratch": "os.rename(secret, 'moved')",
    "move a file out of the scratch": "open('mine', 'w').close(); os.rename('mine', outside + '/mine')",
    "make a folder": "os.mkdir(outside + '/folder')",
    "give a file a second name": "os.link(secret, 'linked')",
    "link to a file": "os.symlink(secret, 'link')",
    "make a pipe": "os.mkfifo('pipe')",
    "change a file's mode": "os.chmod(secret, 0o777)",
    "change a file's owner": "os.chown(secret, os.getuid(), os.getgid())",
    "change a file's time": "os.utime(secret, (0, 0))",
}
REACHING_OUT = {
    "connect by TCP": "socket.socket(socket.AF_INET)",
    "connect by TCP over IPv6": "socket.socket(socket.AF_INET6)",
    "connect by UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "connect by a local socket": "socket.socket(socket.AF_UNIX)",
    "make a pair of sockets": "socket.socketpair()",
    "talk to the kernel's network": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "fork": "os.fork() or os._exit(0)",
    "start a program": "subprocess.run(['/bin/true'], check=True)",
    "become a program": "os.execv('/bin/true', ['true'])",
    "signal its parent": "os.kill(os.getppid(), 0)",
    "signal everybody": "os.kill(-1, 0)",
    "change its parent's limits": "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)",
    "move its parent to another core": "os.sched_setaffinity(os.getppid(), os.sched_getaffinity(0))",
    "outlive its parent": "libc_call('prctl', 1, 0, 0, 0, 0)",
    "hide memory in a file without a name": "os.memfd_create('hidden')",
    "share memory": "libc_call('shmget', 0, 4096, 0o1600)",
}
REFUSED_TO_ROOT_TOO = {
    "trace its parent": "libc_call('ptrace', 0x4206, os.getppid(), 0, 0)",
    "look into its parent's memory": "open(f'/proc/{os.getppid()}/mem', 'rb')",
    "mount": "libc_call('mount', 0, b'/mnt', b'tmpfs', 0, 0)",
    "leave its namespaces": "libc_call('unshare', 0x10000000)",
    "load a program into the kernel": "libc_call('syscall', 321, 0, 0, 0)",
    "set up io_uring": "libc_call('syscall', 425, 1, 0)",
    "use the keyring": "libc_call('syscall', {'x86_64': 250}.get(os.uname().machine, 219), 0, -3, 0)",
    "raise its own limits": "resource.setrlimit(resource.RLIMIT_DATA, (-1, -1))",
    "push input into a terminal": "fcntl.ioctl(0, 0x5412, b'x')",
}

PREPARATION = """
import ctypes, fcntl, os, resource, socket, sqlite3, subprocess
outside, secret, database = {outside!r}, {secret!r}, {database!r}
libc = ctypes.CDLL(None, use_errno=True)
def libc_call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
"""


@pytest.fixture
def preparation(tmp_path: Path) -> str:
    """Lines that name a folder, a file and a database outside the box."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("keep out")
    with sqlite3.connect(outside / "database") as database:
        database.execute("create table jobs (id text)")
    return PREPARATION.format(outside=str(outside), secret=str(outside / "secret"), database=str(outside / "database"))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


@pytest.mark.parametrize("attempt", {**READING, **WRITING, **REACHING_OUT}.items(), ids=lambda item: item[0])
def test_a_step_cannot(attempt: tuple[str, str], preparation: str, scratch: Path) -> None:
    boxed = run_boxed(preparation + attempt[1], scratch)
    assert boxed.returncode == 1, boxed.stderr
    assert "PermissionError" in boxed.stderr or "unable to open database file" in boxed.stderr, boxed.stderr
    free = run_unboxed(preparation + attempt[1], scratch)
    assert free.returncode == 0, free.stderr


@pytest.mark.parametrize("attempt", REFUSED_TO_ROOT_TOO.items(), ids=lambda item: item[0])
def test_not_even_root_can(attempt: tuple[str, str], preparation: str, scratch: Path) -> None:
    boxed = run_boxed(preparation + attempt[1], scratch)
    assert boxed.returncode == 1, boxed.stderr
    assert (
        "Operation not permitted" in boxed.stderr
        or "Permission denied" in boxed.stderr
        or ("not allowed to raise maximum limit" in boxed.stderr)
    ), boxed.stderr


def test_a_step_cannot_go_round_the_filter_by_newer_calls(scratch: Path) -> None:
    lines = """
    import ctypes, errno
    libc = ctypes.CDLL(None, use_errno=True)
    for number in (435, 437, 463, 600, 0x40000000 + 41):
        assert libc.syscall(number, 0, 0, 0, 0) == -1
        assert ctypes.get_errno() == errno.ENOSYS, (number, ctypes.get_errno())
    """
    assert (ran := run_boxed(textwrap.dedent(lines), scratch)).returncode == 0, ran.stderr


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the old table of calls is an x86 matter")
def test_a_step_that_calls_by_the_table_of_another_processor_is_killed(scratch: Path) -> None:
    lines = """
    import ctypes, mmap
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex("b814000000cd80c3"))  # getpid by int 0x80
    print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())
    """
    assert run_boxed(textwrap.dedent(lines), scratch).returncode == -signal.SIGSYS


def test_memory_beyond_the_limit_is_refused(scratch: Path) -> None:
    lines = "bytearray(300 * 2**20)"
    assert "MemoryError" in run_boxed(lines, scratch, memory_bytes=2**28).stderr
    assert run_boxed(lines, scratch, memory_bytes=2**29).returncode == 0


def test_a_file_beyond_the_limit_is_refused(scratch: Path) -> None:
    lines = "open('large', 'wb').truncate(2**20 + 1)"
    assert "File too large" in run_boxed(lines, scratch, file_bytes=2**20).stderr
    assert run_boxed(lines, scratch, file_bytes=2**21).returncode == 0


def test_processor_time_beyond_the_limit_ends_it(scratch: Path) -> None:
    assert run_boxed("while True: pass", scratch, cpu_s=1).returncode == -signal.SIGXCPU


def test_what_a_step_needs_is_left_to_it(scratch: Path, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("given")
    lines = f"""
    import json, os, tempfile, threading
    assert open({str(tmp_path / "input")!r}).read() == "given"
    os.mkdir("folder"); open("folder/file", "w").write("x"); os.rename("folder/file", "folder/other")
    os.replace("folder/other", "folder/third"); os.unlink("folder/third"); os.rmdir("folder")
    open("/dev/null", "w").write("x"); os.urandom(8); open("/dev/urandom", "rb").read(1)
    for path in ("/proc/self/status", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/loadavg"):
        assert open(path).read()
    thread = threading.Thread(target=print, args=("from a thread",)); thread.start(); thread.join()
    os.kill(os.getpid(), 0); os.sched_setaffinity(0, os.sched_getaffinity(0))
    assert layers.missing == [], layers
    """
    ran = run_boxed(textwrap.dedent(lines), scratch, readable=[tmp_path / "input"])
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "from a thread\n"


def test_onnxruntime_runs_with_two_threads(scratch: Path) -> None:
    lines = """
    import numpy as np, onnx, onnxruntime as ort
    from onnx.parser import parse_model
    model = parse_model('<ir_version: 8, opset_import: ["" : 17]> g (float[256, 256] x) => (float[256, 256] y)'
                        '{ h = MatMul(x, x) y = Relu(h) }')
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    print(session.run(None, {"x": np.ones((256, 256), np.float32)})[0][0, 0])
    threads = [line for line in open("/proc/self/status") if line.startswith("Threads")]
    print(*threads[0].split())
    """
    ran = run_boxed(textwrap.dedent(lines), scratch)
    assert ran.stdout.splitlines()[0] == "256.0", ran.stderr
    assert int(ran.stdout.split()[-1]) >= 2


def test_a_missing_input_is_an_error_and_opens_nothing(scratch: Path, tmp_path: Path) -> None:
    ran = run_boxed("print('ran')", scratch, readable=[tmp_path / "not there"])
    assert "FileNotFoundError" in ran.stderr
    assert ran.stdout == ""
