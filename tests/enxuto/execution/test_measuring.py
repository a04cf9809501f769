"""One measuring step at a time, and nobody waits for a process that is dead."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from enxuto.errors import Interrupted
from enxuto.execution.measuring import alone

HOLD = """
import sys, time
from pathlib import Path
from enxuto.execution.measuring import alone
with alone(Path(sys.argv[1]), lambda: False):
    print("held", flush=True)
    time.sleep(60)
"""


def never() -> bool:
    return False


def test_two_that_measure_take_turns(tmp_path: Path) -> None:
    lock, spans = tmp_path / "lock", list[tuple[float, float]]()

    def measure() -> None:
        with alone(lock, never):
            began = time.monotonic()
            time.sleep(0.05)
            spans.append((began, time.monotonic()))

    threads = [threading.Thread(target=measure) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spans.sort()
    assert len(spans) == 3
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))


def test_waiting_ends_when_told_to_stop(tmp_path: Path) -> None:
    with alone(tmp_path / "lock", never), pytest.raises(Interrupted), alone(tmp_path / "lock", lambda: True):
        pytest.fail("two measured at once")


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    with alone(tmp_path / "lock", lambda: True):
        pass


def test_without_a_lock_nobody_waits() -> None:
    with alone(None, lambda: True), alone(None, lambda: True):
        pass
