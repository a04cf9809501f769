"""Times calls in blocks: the innermost loop of every measurement, so that nothing but the call is in it."""

from __future__ import annotations

import gc
import resource
import statistics
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

LEAST_CALLS = 3
_LONG_BLOCKS = 3
"""Times the length of a block: a call as long as this is a block of its own, and nothing is gained by timing three."""
_MOST_CALLS = 100_000
_STABLE_SHARE = 0.03
_STABLE_WINDOWS = 3


@dataclass(frozen=True)
class Block:
    """Some calls of one model, one after the other."""

    wall_ns: array[int]
    """Of each call."""
    cpu_ns: int
    """Of the whole process, all calls together."""

    @property
    def median_ms(self) -> float:
        return statistics.median(self.wall_ns) / 1e6


def time_block(call: Callable[[], object], calls: int) -> Block:
    """Time this many calls, after one that is not timed: what ran before may have taken the caches.

    A single call is so long that what it finds in the caches is nothing.
    """
    wall = array("q", bytes(8 * calls))
    clock = time.perf_counter_ns
    if calls > 1:
        call()
    cpu = cpu_time_ns()
    for position in range(calls):
        begun = clock()
        call()
        wall[position] = clock() - begun
    return Block(wall, max(cpu_time_ns() - cpu, 1))  # where a clock ticks more seldom than a block ends


def cpu_time_ns() -> int:
    """Processor time that this process has used, by the clock that is finest inside the box.

    A limit on processor time, which the box sets, lets Linux's own clock of a process (``time.process_time``) move once
    a tick, every 4 ms, while what ``getrusage`` tells stays exact to the microsecond for the calling thread.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    return round((used.ru_utime + used.ru_stime) * 1e9)


@contextmanager
def no_collection() -> Iterator[None]:
    """Python's own garbage would be charged to whatever call is running when it is collected."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def warm_up(call: Callable[[], object], block_ms: float, most_s: float) -> int:
    """Call until the time of a call stands still or ``most_s`` are spent; return how many calls fill a block.

    It stands still when the medians of three windows in a row lie within 3 % of each other.
    """
    until = time.perf_counter() + most_s
    call()  # the first one allocates and tells nothing of the others
    medians = [time_block(call, 1).median_ms]
    while time.perf_counter() < until and not _stable(medians):
        medians.append(time_block(call, calls_in(block_ms / 2, medians[-1])).median_ms)
    return calls_in(block_ms, min(medians[-_STABLE_WINDOWS:]))


def calls_in(block_ms: float, call_ms: float) -> int:
    """How many calls of this length fill a block."""
    if call_ms >= _LONG_BLOCKS * block_ms:
        return 1
    return max(LEAST_CALLS, min(_MOST_CALLS, round(block_ms / max(call_ms, 1e-6))))


def _stable(medians: list[float]) -> bool:
    last = medians[-_STABLE_WINDOWS:]
    return len(medians) > _STABLE_WINDOWS and max(last) <= min(last) * (1 + _STABLE_SHARE)
