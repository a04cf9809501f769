"""Copies of a model called at the same time, each from a thread of its own, in slices with a probe now and then.

A slice is a few milliseconds of calls without a gap: short, so that some of them are whole even while another process
takes the core away every other moment. What a copy carries is its calls over the time of its
slices, so that neither a probe nor the call that happens to be under way at the end is charged to it.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field

from enxuto.measure.blocks import LEAST_CALLS, cpu_time_ns, warm_up
from enxuto.measure.probe import CoreProbe
from enxuto.measure.run_queue import RunQueue

_SLICE_NS = 2_000_000
_PROBE_EVERY_NS = 25_000_000
_BLOCK_MS = 10.0
_WARM_UP_S = 2.0
_MOST_WAITED = 0.02
"""Share of a slice's time without a core, beyond which it was disturbed."""
_LONGEST = 3
"""Times the duration that was asked for: how long disturbed copies are run."""
_LOOK_EVERY_S = 0.002
_GATE_NS = 2_500_000
"""Threads leave the gate one after the other; that little is no reason to leave out their first slices."""


@dataclass(frozen=True)
class Slice:
    """Calls of one copy without a gap, at least one."""

    begun_ns: int
    ended_ns: int
    wall_ns: array[int]
    """Of each call."""
    probe_ns: float
    """What the probe took when it last ran, on the same core."""
    waited_ns: int
    """How long the copy stood ready without a core, because somebody else had it."""

    @property
    def has_its_core(self) -> bool:
        return self.waited_ns <= _MOST_WAITED * (self.ended_ns - self.begun_ns)


@dataclass
class Copy:
    """One copy of the model, warmed up and then called over and over by its thread."""

    call: Callable[[], object]
    alone: bool
    """Whether it is the only one, so that all threads of this process are its own."""
    slices: list[Slice] = field(default_factory=list)
    calls: int = 0
    undisturbed_ns: int = 0
    """Of the slices in which the copy had its core."""

    def run(self, gate: threading.Barrier, stop: threading.Event) -> None:
        """Warm up while the others do, wait for them at the gate, and run until told to stop."""
        try:
            warm_up(self.call, _BLOCK_MS, _WARM_UP_S)
            probe = CoreProbe()
            probe()
            with closing(RunQueue(of_all_threads=self.alone)) as queue:
                gate.wait()
                while not stop.is_set():
                    self._add_slices(probe(), queue, stop)
        except BaseException:
            gate.abort()
            stop.set()
            raise

    def _add_slices(self, probe_ns: float, queue: RunQueue, stop: threading.Event) -> None:
        """As many as go between two probes."""
        until = time.perf_counter_ns() + _PROBE_EVERY_NS
        while time.perf_counter_ns() < until and not stop.is_set():
            self._add_slice(probe_ns, queue)

    def _add_slice(self, probe_ns: float, queue: RunQueue) -> None:
        clock, call, wall = time.perf_counter_ns, self.call, array("q")
        waited_ns = queue.waited_ns()
        begun = now = clock()
        until = begun + _SLICE_NS
        while now < until:
            before = now
            call()
            now = clock()
            wall.append(now - before)
        done = Slice(begun, now, wall, probe_ns, queue.waited_ns() - waited_ns)
        self.slices.append(done)
        self.undisturbed_ns += now - begun if done.has_its_core else 0
        self.calls += len(wall)


@dataclass(frozen=True)
class Together:
    """What ran while all copies ran."""

    slices: list[list[Slice]]
    """Of each copy."""
    wall_ns: int
    cpu_ns: int
    """Of the whole process in that time."""


def run_together(copies: Sequence[Copy], duration_s: float) -> Together:
    """Run all copies for this long; longer until each was called a few times, and where they were disturbed.

    Raises what a call of any of them raises.
    """
    gate, stop = threading.Barrier(len(copies) + 1), threading.Event()
    with ThreadPoolExecutor(len(copies)) as pool:
        running = [pool.submit(copy.run, gate, stop) for copy in copies]
        try:
            with suppress(threading.BrokenBarrierError):  # whatever broke it is raised below
                gate.wait()
            begun, cpu = time.perf_counter_ns(), cpu_time_ns()
            stop.wait(duration_s)
            while not (stop.is_set() or _enough(copies, duration_s, time.perf_counter_ns() - begun)):
                stop.wait(_LOOK_EVERY_S)
            ended, cpu = time.perf_counter_ns(), cpu_time_ns() - cpu
        finally:
            stop.set()
    _raise_first([failure for each in running if (failure := each.exception()) is not None])
    return Together(_between(copies, ended), ended - begun, cpu)


def _enough(copies: Sequence[Copy], duration_s: float, spent_ns: int) -> bool:
    if min(copy.calls for copy in copies) < LEAST_CALLS:
        return False
    undisturbed_ns = min(copy.undisturbed_ns for copy in copies)
    return undisturbed_ns >= duration_s * 1e9 / 2 or spent_ns >= _LONGEST * duration_s * 1e9


def _raise_first(failures: Sequence[BaseException]) -> None:
    """The others gave up at the gate because of it."""
    for failure in sorted(failures, key=lambda each: isinstance(each, threading.BrokenBarrierError)):
        raise failure


def _between(copies: Sequence[Copy], ended_ns: int) -> list[list[Slice]]:
    """Slices from when the last copy had begun until the time was up: in all others some copy stood still."""
    begun_ns = max(copy.slices[0].begun_ns for copy in copies) - _GATE_NS
    return [
        [each for each in copy.slices if each.begun_ns >= begun_ns and each.ended_ns <= ended_ns] for copy in copies
    ]
