"""Copies are called side by side, and what disturbs them is told."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from enxuto.measure.copies import Copy, Slice, run_together
from enxuto.measure.run_queue import RunQueue


def nap(seconds: float) -> Copy:
    """A call that waits without a processor, as a model with cores of its own would."""
    return Copy(lambda: time.sleep(seconds), alone=False)


def calls(slices: list[Slice]) -> int:
    return sum(len(each.wall_ns) for each in slices)


def test_copies_run_at_the_same_time() -> None:
    """Two that wait 5 ms each make nearly twice as many calls as one, on a single core too."""
    ran = run_together([nap(0.005), nap(0.005)], 0.3)
    assert all(calls(slices) > 20 for slices in ran.slices)
    assert sum(map(calls, ran.slices)) * 0.005 > 1.3 * ran.wall_ns / 1e9


def test_slices_that_count_lie_within_the_time_in_which_all_ran() -> None:
    copies = [nap(0.001), nap(0.02)]
    ran = run_together(copies, 0.2)
    kept = [each for slices in ran.slices for each in slices]
    begun = max(copy.slices[0].begun_ns for copy in copies)
    assert min(each.begun_ns for each in kept) > begun - 5_000_000
    assert max(each.ended_ns for each in kept) <= begun + ran.wall_ns + 100_000_000
    assert any(copy.slices[-1] not in slices for copy, slices in zip(copies, ran.slices, strict=True))


def test_a_slice_is_made_of_whole_calls_without_a_gap() -> None:
    [slices] = run_together([nap(0.004)], 0.1).slices
    for each in slices:
        assert sum(each.wall_ns) == pytest.approx(each.ended_ns - each.begun_ns, rel=0.02)


def test_long_calls_are_waited_for() -> None:
    ran = run_together([nap(0.15), nap(0.15)], 0.01)
    assert all(calls(slices) >= 3 for slices in ran.slices)


def test_what_a_call_raises_ends_all_copies_and_is_raised() -> None:
    left = [60]

    def failing() -> None:
        left[0] -= 1
        if not left[0]:
            raise ValueError("no more")

    def slow_failing() -> None:
        time.sleep(0.001)
        failing()

    with pytest.raises(ValueError, match="no more"):
        run_together([nap(0.001), Copy(slow_failing, alone=False)], 60.0)


def test_a_copy_that_fails_while_it_warms_up_does_not_leave_the_others_at_the_gate() -> None:
    def failing() -> None:
        raise ValueError("at once")

    with pytest.raises(ValueError, match="at once"):
        run_together([nap(0.001), Copy(failing, alone=False)], 60.0)


def test_a_slice_that_waited_long_for_a_core_was_disturbed() -> None:
    def slice_that_waited(waited_ns: int) -> Slice:
        return Slice(0, 25_000_000, wall_ns=None, probe_ns=3000.0, waited_ns=waited_ns)  # type: ignore[arg-type]

    assert slice_that_waited(100_000).has_its_core
    assert not slice_that_waited(2_000_000).has_its_core


def test_waiting_for_a_core_is_counted_by_the_kernel() -> None:
    """Many threads that compute at once share the cores, so some of them stand ready and wait."""
    stop = threading.Event()
    compute = [threading.Thread(target=_compute, args=(stop,)) for _ in range(64)]
    for thread in compute:
        thread.start()
    queue = RunQueue(of_all_threads=True)
    try:
        before = queue.waited_ns()
        time.sleep(0.5)
        assert queue.waited_ns() - before > 100_000_000
    finally:
        stop.set()
        queue.close()
        for thread in compute:
            thread.join()


def test_what_a_thread_waited_stays_when_it_has_ended() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    queue = RunQueue(of_all_threads=True)
    try:
        before = queue.waited_ns()
        done.set()
        thread.join()
        time.sleep(0.05)  # until the kernel has put it away
        assert queue.waited_ns() >= before
    finally:
        queue.close()


def _compute(stop: threading.Event) -> None:
    matrix = np.ones((256, 256), np.float32)
    while not stop.is_set():
        matrix @ matrix
