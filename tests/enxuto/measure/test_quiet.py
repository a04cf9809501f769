"""Moments in which somebody else had the cores are found from beside, and only those."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from enxuto.measure import quiet as module
from enxuto.measure.quiet import QuietWatch, quiet_part


class _Queue:
    """Nobody waits, but for what the test says."""

    waited = 0

    def __init__(self, *, of_all_threads: bool) -> None:
        assert of_all_threads

    def waited_ns(self) -> int:
        return _Queue.waited

    def close(self) -> None: ...


@pytest.fixture(autouse=True)
def queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RunQueue", _Queue)
    monkeypatch.setattr(_Queue, "waited", 0)


def test_only_what_is_near_a_wait_is_disturbed() -> None:
    with QuietWatch() as watch:
        time.sleep(0.15)
        disturbed = time.perf_counter_ns()
        _Queue.waited += 10**9
        time.sleep(0.15)
        ended = time.perf_counter_ns()
    at = np.array([disturbed - 140_000_000, disturbed, ended])
    assert watch.quiet(at, 0).tolist() == [True, False, True]
    assert watch.quiet(at, 1e9).tolist() == [False, False, False]


def test_a_slow_probe_disturbs_what_lies_between_its_neighbors(monkeypatch: pytest.MonkeyPatch) -> None:
    took = iter([3.0] * 4 + [5.0] + [3.0] * 100)
    monkeypatch.setattr(module, "CoreProbe", lambda: lambda: next(took))
    monkeypatch.setattr(module, "_PROBE_EVERY_NS", 0)
    with QuietWatch() as watch:
        call, at = watch.probed(lambda feeds: feeds), []
        for _ in range(8):
            time.sleep(0.06)
            at.append(time.perf_counter_ns())
            assert call("feeds") == "feeds"
    assert watch.quiet(np.array(at), 0).tolist()[4] is False
    between = (np.array(at[:-1]) + np.array(at[1:])) // 2
    assert watch.quiet(between, 0).tolist() == [True] * 3 + [False] * 2 + [True] * 2
    assert watch.probe_us == 0.003


def test_the_watch_ends_with_its_run() -> None:
    before = threading.active_count()
    with QuietWatch():
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_the_same_queries_are_compared(tmp_path: Path) -> None:
    with QuietWatch() as watch:
        begun = time.perf_counter_ns()
        time.sleep(0.1)
    np.savez(tmp_path / "simulated.npz", latency_ns=np.full(300, 4_000_000))
    due, latencies = np.full(300, begun), np.full(300, 5_000_000)
    found = quiet_part(watch, due, latencies, tmp_path / "simulated.npz")
    assert (found.share, found.p95_ms, found.simulated_p95_ms) == (1.0, 5.0, 4.0)
    few = quiet_part(watch, due[:100], latencies[:100], None)
    assert (few.p95_ms, few.simulated_p95_ms) == (None, None)
