"""Simulates the dynamic batcher, query by query, on measured batch times.

The policy is that of ``enxuto.serving.batcher``, event for event: the instance that has been free the longest gathers;
it starts once the batch is full, or the first query has waited for the delay. Who sends is simulated too, since it
runs in the same process: queries are sent as late as was measured, and one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapreplace

import numpy as np

from enxuto.scenario import Batching
from enxuto.serving.latencies import latency_profile
from enxuto.serving.times import QUANTILES, BatchTimes
from enxuto.steps import BatchCount, SimulatedLoad

_LONG_AGO = -1e12


@dataclass(frozen=True)
class Simulation:
    """Of one way to serve under one sequence of arrivals."""

    latencies_ns: np.ndarray
    """Of each query, from when it was due to its answer."""
    sizes: np.ndarray
    """Of each batch."""
    running_ns: float
    """Time in which the model ran, over all instances."""
    ended_ns: float

    def load(self, rate_per_s: float, instances: int) -> SimulatedLoad:
        sizes, counts = np.unique(self.sizes, return_counts=True)
        return SimulatedLoad(
            rate_per_s=rate_per_s,
            latency=latency_profile(self.latencies_ns),
            utilization=min(1.0, self.running_ns / (self.ended_ns * instances)),
            batches=[BatchCount(size=int(s), count=int(c)) for s, c in zip(sizes, counts, strict=True)],
        )


def simulate(due_ns: np.ndarray, times: BatchTimes, batching: Batching, seed: int) -> Simulation:
    """Answer queries that are due at these times, in nanoseconds.

    Draws follow from the seed, and from nothing else: the same arguments give the same simulation.
    """
    due: list[float] = due_ns.astype(float).tolist()
    count, largest, delay = len(due), batching.max_batch, batching.max_delay_ms * 1e6
    draws = np.random.default_rng([seed, 0x51A1]).integers(0, QUANTILES, (3, count)).tolist()
    sender = _Sender(due, times, draws[0])
    company = _company(times, batching.instances)
    free = [_LONG_AGO] * batching.instances
    ends, sizes, running, first = [0.0] * count, [], 0.0, 0
    came, wake_draws, call_draws = sender.came, draws[1], draws[2]
    turns, wakes, answers = times.turns, times.wakes, times.answers
    while first < count:
        free_at = free[0]
        sender.send_until(max(free_at, sender.next_at(first, free_at)), first + largest, free_at)
        size = min(len(came) - first, largest)
        while size > 1 and came[first + size - 1] > max(free_at, came[first]):
            size -= 1
        until = came[first] + delay
        waited = came[first] <= free_at
        pick = wake_draws[first]
        if size == largest or until <= max(free_at, came[first]):
            start = max(free_at, came[first])
            pause = times.pause(start - free_at)
            called = free_at + turns[size][pick] if waited else start + wakes[pause][size][pick]
        else:
            sender.send_until(until, first + largest, free_at)
            size = min(len(came) - first, largest)
            while size > 1 and came[first + size - 1] > until:
                size -= 1
            start = came[first + size - 1] if size == largest else until
            pause = times.pause(start - free_at)
            late = times.late_idle[pick] if size < largest else 0.0
            called = start + (late + turns[size][pick] if size < largest else wakes[pause][size][pick])
        working = 1
        for other in free[1:]:  # the first one is the instance itself
            working += other > called
        call = times.calls[company[working]][pause][size][call_draws[first]]
        end = called + call + answers[size]
        heapreplace(free, end)
        ends[first : first + size] = [end] * size
        sizes.append(size)
        running += call
        first += size
    return Simulation(np.asarray(ends) - due_ns, np.asarray(sizes), running, max(ends))


class _Sender:
    """Sends queries in their order, each as late as drawn and never before the last one was sent."""

    def __init__(self, due: Sequence[float], times: BatchTimes, draws: Sequence[int]) -> None:
        self.came: list[float] = []
        """When each query so far reached the batcher."""
        self._due = due
        self._times = times
        self._draws = draws
        self._ready = _LONG_AGO

    def next_at(self, position: int, free_at: float) -> float:
        """When this query came; sends it, where it was not yet."""
        while len(self.came) <= position:
            self._send(free_at)
        return self.came[position]

    def send_until(self, until: float, most: int, free_at: float) -> None:
        """All that come until then, and one more; no more than ``most`` altogether."""
        came, most = self.came, min(most, len(self._due))
        while len(came) < most and (not came or came[-1] <= until):
            self._send(free_at)

    def _send(self, free_at: float) -> None:
        position = len(self.came)
        due = self._due[position]
        if due <= self._ready:  # it did not sleep before this one
            came = self._ready
        else:
            late = self._times.late_busy if due < free_at else self._times.late_idle
            came = due + late[self._draws[position]]
        self._ready = came + self._times.send
        self.came.append(came)


def _company(times: BatchTimes, instances: int) -> list[int]:
    """Which measured number of copies stands for how many are at work."""
    measured = sorted(times.calls)
    return [next((known for known in measured if known >= working), measured[-1]) for working in range(instances + 1)]
