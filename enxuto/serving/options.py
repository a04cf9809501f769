"""The ways to serve that a plan looks at, each simulated.

Near saturation a little more time a call makes the wait many times as long, so that what a simulation says there is
worth nothing. The highest rate therefore leaves head room: it holds with slower calls, and leaves copies some rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from enxuto.scenario import Batching, ServingGoal
from enxuto.serving.arrivals import poisson_ns
from enxuto.serving.latencies import p95_ms
from enxuto.serving.simulate import Simulation, simulate
from enxuto.serving.times import BatchTimes

_QUERIES = 4000
"""Simulated to compare options; the one that is chosen is simulated for as long as it will be checked."""
_SHARES_OF_SLACK = (0.0, 0.125, 0.25, 0.5)
"""Delays, as shares of what the limit leaves beside the call of a full batch: half goes to waiting for an instance."""
_LONGEST_DELAY = 4
"""Calls of a full batch: longer delays gain nothing."""
_SLOWEST, _HALVINGS = 0.02, 7
"""Rates are searched from this share of what full batches carry, to within 3 %."""
SLOWER, BUSIEST = 1.1, 0.7
"""Head room: how many times as long calls may take, and the share of the time for which a copy may be busy."""
CORES_BUSY = 0.75
"""Share of the machine's cores that model and Python may take together: beyond it they wait for each other."""
_MOST_PYTHON = 0.6
"""Share of the time in which Python may run: beyond it threads wait for each other, which is not simulated."""


@dataclass(frozen=True)
class Way:
    """One way to serve, and what its batches take."""

    threads: int
    batching: Batching
    memory_bytes: int
    times: BatchTimes
    cores_there: int | None = None

    @property
    def cores(self) -> int:
        return self.threads * self.batching.instances

    def run(self, rate_per_s: float, seed: int, duration_s: float | None = None) -> Simulation:
        duration_s = duration_s or _QUERIES / rate_per_s
        return simulate(poisson_ns(rate_per_s, duration_s, seed), self.times, self.batching, seed)

    def p95_ms(self, rate_per_s: float, seed: int) -> float:
        """Infinite where Python could not keep up."""
        return self._p95_ms(self.run(rate_per_s, seed), rate_per_s)

    def _p95_ms(self, simulation: Simulation, rate_per_s: float) -> float:
        if self.times.python_share(rate_per_s, float(np.mean(simulation.sizes))) > _MOST_PYTHON:
            return float("inf")
        return p95_ms(simulation.latencies_ns)

    def highest_rate_per_s(self, limit_ms: float, seed: int) -> float:
        """That holds the limit, within 3 %; zero where not even a trickle does."""
        high = self.times.carried_per_s(self.batching.instances, self.batching.max_batch)
        low, slower = high * _SLOWEST, replace(self, times=self.times.slower(SLOWER))
        if not slower._holds(low, limit_ms, seed):
            return 0.0
        for _ in range(_HALVINGS):
            middle = (low * high) ** 0.5
            low, high = (middle, high) if slower._holds(middle, limit_ms, seed) else (low, middle)
        return low

    def _holds(self, rate_per_s: float, limit_ms: float, seed: int) -> bool:
        """The limit, with some rest; calls are the slower ones here."""
        simulation = self.run(rate_per_s, seed)
        busy = simulation.running_ns / (simulation.ended_ns * self.batching.instances)
        python = self.times.python_share(rate_per_s, float(np.mean(simulation.sizes)))
        crowded = self.cores_there and busy / SLOWER * self.cores + python > CORES_BUSY * self.cores_there
        return not crowded and busy <= SLOWER * BUSIEST and self._p95_ms(simulation, rate_per_s) <= limit_ms


def delays_ms(goal: ServingGoal, times: BatchTimes, max_batch: int) -> list[float]:
    """Worth trying with this batch: a batch of one never waits, and no delay may take the limit up."""
    call_ms = float(np.median(times.calls[max(times.calls)][0][max_batch])) / 1e6
    slack_ms = goal.p95_ms - call_ms
    if max_batch == 1 or slack_ms <= 0:
        return [0.0]
    longest = min(slack_ms, _LONGEST_DELAY * call_ms / max(_SHARES_OF_SLACK))
    return sorted({float(f"{share * longest:.3g}") for share in _SHARES_OF_SLACK})


def batchings(goal: ServingGoal, times: BatchTimes, instances: int, sizes: Sequence[int]) -> Iterator[Batching]:
    for size in sizes:
        for delay in delays_ms(goal, times, size):
            yield Batching(max_batch=size, max_delay_ms=min(delay, 60_000.0), instances=instances)
