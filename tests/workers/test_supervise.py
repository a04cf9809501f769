"""What is supervised is started anew when it dies, and ends with its supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.support.processes import children_of, is_alive, wait_for

SLEEP = [sys.executable, "-c", "import time; time.sleep(1000)"]


def supervisor(body: str) -> subprocess.Popen[bytes]:
    """A process of its own: whoever supervises blocks signals and has one thread."""
    script = f"import sys\nfrom workers.supervise import *\nSLEEP = {SLEEP!r}\nkeeper = Supervisor()\n"
    return subprocess.Popen([sys.executable, "-c", script + textwrap.dedent(body)], stderr=subprocess.PIPE)


def keeper_of_two() -> tuple[subprocess.Popen[bytes], list[int]]:
    process = supervisor(
        """
        keeper.add(Part("one", SLEEP, {}))
        keeper.add(Part("two", SLEEP, {}))
        keeper.keep_running()
        keeper.stop()
        """
    )
    wait_for(lambda: len(children_of(process.pid)) == 2)
    return process, children_of(process.pid)


def test_a_part_that_dies_is_started_anew_and_the_other_is_left_alone() -> None:
    process, (one, two) = keeper_of_two()
    os.kill(one, signal.SIGKILL)
    wait_for(lambda: len(alive := [pid for pid in children_of(process.pid) if is_alive(pid)]) == 2 and one not in alive)
    assert is_alive(two)
    process.terminate()
    assert process.wait(20) == 0


def test_a_clean_stop_ends_all_parts() -> None:
    process, parts = keeper_of_two()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert not any(map(is_alive, parts))


def test_all_parts_die_with_a_supervisor_that_is_killed() -> None:
    process, parts = keeper_of_two()
    process.kill()
    process.wait()
    wait_for(lambda: not any(map(is_alive, parts)))


def test_a_part_that_does_not_listen_is_killed_after_its_time() -> None:
    process = supervisor(
        """
        deaf = ["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"]
        keeper.add(Part("deaf", deaf, {}, stop_within_s=0.3))
        keeper.keep_running()
        keeper.stop()
        """
    )
    assert process.stderr
    assert process.stderr.readline() == b"deaf\n"
    process.terminate()
    assert process.wait(20) == 0


def test_a_part_that_cannot_start_ends_the_start_of_all() -> None:
    process = supervisor(
        """
        keeper.add(Part("broken", [sys.executable, "-c", "raise SystemExit(3)"], {}))
        try:
            keeper.wait_until(lambda: False, within_s=20, what="Starting")
        except PartDied as error:
            print(error, file=sys.stderr)
        """
    )
    assert process.stderr
    assert "broken ended with exit code 3" in process.stderr.read().decode()
    process.wait(20)


def test_a_part_that_keeps_dying_is_started_ever_less_often(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    process = supervisor(
        f"""
        keeper.add(Part("dying", ["/bin/sh", "-c", "echo x >> {starts}"], {{}}))
        keeper.keep_running()
        """
    )
    wait_for(lambda: starts.exists() and starts.read_text().count("x") >= 3)
    process.terminate()
    process.wait(20)
    assert starts.read_text().count("x") < 8
