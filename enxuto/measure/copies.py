"""Copies of a model called at the same time, each from a thread of its own, in slices with a probe before each.

A slice is some twentieths of a second of calls without a gap. What a copy carries is its calls over the time of its
slices, so that neither a probe nor the call that happens to be under way at the end is charged to it.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from enxuto.measure.blocks import LEAST_CALLS, warm_up
from enxuto.measure.probe import CoreProbe

_SLICE_NS = 25_000_000
_BLOCK_MS = 10.0
_WARM_UP_S = 2.0
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
    """What the probe took just before, on the same core."""


@dataclass
class Copy:
    """One copy of the model, warmed up and then called over and over by its thread."""

    call: Callable[[], object]
    slices: list[Slice] = field(default_factory=list)
    calls: int = 0

    def run(self, gate: threading.Barrier, stop: threading.Event) -> None:
        """Warm up while the others do, wait for them at the gate, and run until told to stop."""
        try:
            warm_up(self.call, _BLOCK_MS, _WARM_UP_S)
            probe = CoreProbe()
            probe()
            gate.wait()
            while not stop.is_set():
                self._add_slice(probe())
        except BaseException:
            gate.abort()
            stop.set()
            raise

    def _add_slice(self, probe_ns: float) -> None:
        clock, call, wall = time.perf_counter_ns, self.call, array("q")
        begun = now = clock()
        until = begun + _SLICE_NS
        while now < until:
            before = now
            call()
            now = clock()
            wall.append(now - before)
        self.slices.append(Slice(begun, now, wall, probe_ns))
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
    """Run all copies for this long, or longer until each was called a few times.

    Raises what a call of any of them raises.
    """
    gate, stop = threading.Barrier(len(copies) + 1), threading.Event()
    with ThreadPoolExecutor(len(copies)) as pool:
        running = [pool.submit(copy.run, gate, stop) for copy in copies]
        try:
            with suppress(threading.BrokenBarrierError):  # whatever broke it is raised below
                gate.wait()
            begun, cpu = time.perf_counter_ns(), time.process_time_ns()
            stop.wait(duration_s)
            while not stop.is_set() and min(copy.calls for copy in copies) < LEAST_CALLS:
                stop.wait(_LOOK_EVERY_S)
            ended, cpu = time.perf_counter_ns(), time.process_time_ns() - cpu
        finally:
            stop.set()
    _raise_first([failure for each in running if (failure := each.exception()) is not None])
    return Together(_between(copies, ended), ended - begun, cpu)


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
