"""A child that goes beyond its limits is ended, whatever it does; one that does not is left alone."""

from __future__ import annotations

import os
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from enxuto.errors import Interrupted, OutOfCapacity
from enxuto.execution.limits import Limits
from enxuto.execution.spawn import start
from enxuto.execution.watch import wait
from tests.support.processes import is_alive, wait_for


def never() -> bool:
    return False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def run(lines: str, folder: Path, limits: Limits | None = None, stop: Callable[[], bool] = never) -> str:
    """Start a script, not in a box, and wait for it as for a step."""
    script = folder.parent / "script.py"
    script.write_text(textwrap.dedent(lines))
    with start(script, folder, folder) as process:
        try:
            return wait(process, folder, limits or Limits(), stop)
        finally:
            assert process.returncode is not None
            with pytest.raises(ProcessLookupError):
                os.kill(process.pid, 0)


def ended_by(lines: str, folder: Path, limits: Limits) -> str:
    with pytest.raises(OutOfCapacity) as caught:
        run(lines, folder, limits)
    return caught.value.code


def test_what_a_child_printed_last_is_kept_and_no_more(folder: Path) -> None:
    words = run("print('first'); print('x' * 10**7); print('last')", folder)
    assert words.endswith("last\n")
    assert "first" not in words
    assert len(words) < 20_000


def test_both_streams_are_heard(folder: Path) -> None:
    assert run("import sys; print('out', flush=True); print('err', file=sys.stderr)", folder) == "out\nerr\n"


def test_a_child_that_closes_its_output_is_still_waited_for(folder: Path) -> None:
    run("import os, time; os.close(1); os.close(2); time.sleep(0.3); open('done', 'w')", folder)
    assert (folder / "done").exists()


def test_a_child_that_runs_too_long_is_ended(folder: Path) -> None:
    assert ended_by("import time; time.sleep(60)", folder, Limits(time_s=0.5)) == "step_timeout"


def test_told_to_stop_it_ends_within_a_second(folder: Path) -> None:
    asked = time.monotonic() + 0.3
    with pytest.raises(Interrupted):
        run("import time; time.sleep(60)", folder, stop=lambda: time.monotonic() > asked)
    assert time.monotonic() - asked < 1


def test_shared_memory_counts_too(folder: Path) -> None:
    lines = "import mmap, time; m = mmap.mmap(-1, 2**28 + 2**26); m.write(bytes(len(m))); time.sleep(60)"
    assert ended_by(lines, folder, Limits(memory_bytes=2**28)) == "out_of_memory"


def test_files_that_are_only_mapped_do_not_count(folder: Path) -> None:
    lines = """
    import mmap, time
    size = 2**28 + 2**26
    with open("large", "wb") as file:
        file.truncate(size)
    with open("large", "rb") as file:
        mapped = mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ)
    assert not any(mapped[at] for at in range(0, size, 4096))
    time.sleep(0.3)
    """
    run(lines, folder, Limits(memory_bytes=2**28))


def test_too_many_threads_are_ended(folder: Path) -> None:
    lines = "import threading, time; [threading.Thread(target=time.sleep, args=(60,)).start() for _ in range(20)]"
    assert ended_by(lines, folder, Limits(threads=10)) == "too_many_threads"


def test_too_many_bytes_on_disk_are_ended(folder: Path) -> None:
    lines = "import time; open('a', 'wb').write(bytes(2**20)); open('b', 'wb').write(bytes(2**20)); time.sleep(60)"
    assert ended_by(lines, folder, Limits(scratch_bytes=2**20)) == "scratch_full"


def test_too_many_files_are_ended(folder: Path) -> None:
    lines = "import time; [open(str(n), 'w').close() for n in range(100)]; time.sleep(60)"
    assert ended_by(lines, folder, Limits(scratch_files=50)) == "scratch_full"


def test_folders_in_folders_without_end_are_ended(folder: Path) -> None:
    lines = "import os, time; [(os.mkdir('x'), os.chdir('x')) for _ in range(100)]; time.sleep(60)"
    assert ended_by(lines, folder, Limits()) == "scratch_full"


def test_children_of_the_child_end_with_it(folder: Path) -> None:
    lines = "import os, time; open('pid', 'w').write(str(os.fork() or os.getpid())); time.sleep(60)"
    deadline = time.monotonic() + 10
    with pytest.raises(Interrupted):
        run(lines, folder, stop=lambda: (folder / "pid").exists() or time.monotonic() > deadline)
    grandchild = int((folder / "pid").read_text())
    wait_for(lambda: not is_alive(grandchild))


def test_a_child_sees_nothing_of_its_parents_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENXUTO_OPERATOR_KEY", "enx_secret")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    words = run("import os, sys; print(os.environ, sys.path)", folder)
    assert "enx_secret" not in words
    assert "/elsewhere" not in words
    assert str(folder) in words
