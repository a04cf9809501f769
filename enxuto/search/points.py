"""Measures points of batching curves, each over fresh loads, and keeps what was found."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from enxuto.errors import Finding
from enxuto.judge.speed import speedup
from enxuto.machine import Machine
from enxuto.report import Point
from enxuto.request import BenchmarkOptions
from enxuto.schema import Digest
from enxuto.search.plan import Progress, Reply, Task, found
from enxuto.search.ways import Way
from enxuto.signature import ModelInput
from enxuto.steps import Estimate, Failed, HostNoise, MeasureThroughput, Samples, Subject, Throughput
from enxuto.workload import Workload

LEAST_LOADS = 3
"""Fewer carry no interval worth the name."""
MOST_LOADS = 6
DURATION_S = 0.5
"""Of each load, once it is warm."""
_NARROW = 0.1
"""Width of an interval over its value, at which no load is added for its own sake."""
_STEP_SHARE = 0.07
"""Of the rest of a part that a step is said to be."""
_FEWEST_QUIET = 2
"""Quiet loads: fewer carry no interval, and then the disturbed ones count as well."""
_SLOWER_CORE = 1.06
"""Times of the quickest probe of all loads with as many busy cores: a load beyond it was disturbed from beginning to
end."""


@dataclass(frozen=True)
class At:
    """A place on a curve."""

    way: Way
    batch_size: int

    def __str__(self) -> str:
        return f"{self.way}, batch {self.batch_size}"


@dataclass(frozen=True)
class _Load:
    found: Throughput
    calls: Digest
    """The raw times."""


@dataclass
class Points:
    """Every point that was tried, by its place."""

    request: BenchmarkOptions
    """Resolved."""
    model: ModelInput
    samples: Samples | None
    machine: Machine
    fraction: float = 0.0
    """Of the whole job that is done, as far as can be told."""
    part_ends: float = 0.95
    """The fraction at which what is being done now is over; nobody knows after how many steps."""
    spent_s: float = 0.0
    loads: dict[At, list[_Load]] = field(default_factory=dict)
    failures: dict[At, Finding] = field(default_factory=dict)
    skipped: dict[At, Finding] = field(default_factory=dict)
    noise: list[HostNoise] = field(default_factory=list)

    def advance(self) -> float:
        self.fraction += _STEP_SHARE * (self.part_ends - self.fraction)
        return self.fraction

    def skip(self, at: At, reason: Finding) -> None:
        if at not in self.loads and at not in self.failures:
            self.skipped[at] = reason

    def workload(self, at: At) -> Workload:
        changes = {"batch_size": at.batch_size, "threads": at.way.threads}
        return self.request.workload.model_copy(update=changes)

    def estimate(self, at: At) -> Estimate | None:
        """Samples a second; None before there are loads enough for an interval."""
        rates = [load.found.samples_per_s for load in self._counting(at)]
        return speedup(rates, seed=self.request.seed) if len(rates) > 1 else None

    def rate(self, at: At) -> float:
        """Samples a second of a point that was measured."""
        return statistics.geometric_mean(load.found.samples_per_s for load in self._counting(at))

    def p50_ms(self, at: At) -> float:
        return statistics.median(load.found.p50_ms for load in self._counting(at))

    def peak_bytes(self, at: At) -> int:
        return max(load.found.peak_bytes for load in self.loads[at])

    def measured(self, way: Way) -> dict[int, At]:
        """Places that were measured, by batch size, rising."""
        return {at.batch_size: at for at in sorted(self.loads, key=lambda at: at.batch_size) if at.way == way}

    def rows(self) -> list[Point]:
        places = sorted({*self.loads, *self.failures, *self.skipped}, key=lambda at: at.batch_size)
        ways = list(dict.fromkeys(at.way for at in [*self.loads, *self.failures, *self.skipped]))
        return [self._row(at) for way in ways for at in places if at.way == way]

    def wants_more(self, at: At, settled: Callable[[Estimate], bool]) -> bool:
        """Whether another load would help: there are few, or the interval does not settle what it is needed for."""
        loads = len(self.loads.get(at, []))
        if loads < LEAST_LOADS or loads >= MOST_LOADS:
            return loads < LEAST_LOADS
        estimate = self.estimate(at)
        return len(self._quiet(at)) < LEAST_LOADS or estimate is None or not settled(estimate)

    def trusted(self, at: At) -> bool:
        """Whether a point may decide where a search goes: disturbed all along, it says more of others than of the
        model. Copies that are more than the cores disturb each other, as was asked."""
        return at.way.cores > self.machine.cores or len(self._quiet(at)) >= _FEWEST_QUIET

    def _quiet(self, at: At) -> list[_Load]:
        """Loads that had their cores to themselves, as their own slices and their probes tell."""
        alike = [load for place, loads in self.loads.items() if place.way.cores == at.way.cores for load in loads]
        slow_us = _SLOWER_CORE * min((load.found.probe_us for load in alike), default=0.0)
        return [load for load in self.loads.get(at, []) if load.found.probe_us <= slow_us and not load.found.disturbed]

    def _counting(self, at: At) -> list[_Load]:
        """The quiet ones; all of them, where too few were."""
        quiet = self._quiet(at)
        return quiet if len(quiet) >= _FEWEST_QUIET else self.loads.get(at, [])

    def _row(self, at: At) -> Point:
        finding = self.failures.get(at) or self.skipped.get(at)
        estimate = self.estimate(at)
        if estimate is None:
            return self._unmeasured(at, finding or _stopped(self.loads[at]))
        loads = self._counting(at)
        p95 = [load.found.p95_ms for load in loads if load.found.p95_ms is not None]
        return Point(
            settings=at.way.settings,
            batch_size=at.batch_size,
            threads=at.way.threads,
            instances=at.way.instances,
            outcome="measured",
            reason=self._note(at),
            samples_per_s=estimate,
            p50_ms=self.p50_ms(at),
            p95_ms=statistics.median(p95) if len(p95) == len(loads) else None,
            cpu_cores=statistics.median(load.found.cpu_cores for load in loads),
            memory_bytes=self.peak_bytes(at),
            loads=len(loads),
            raw=[load.calls for load in loads],
        )

    def _note(self, at: At) -> str:
        if at.way.cores > self.machine.cores:
            return f"{at.way.cores} threads share {self.machine.cores} cores"
        return "" if self.trusted(at) else "disturbed all along: others used the cores, and this is too low"

    def _unmeasured(self, at: At, finding: Finding) -> Point:
        return Point(
            settings=at.way.settings,
            batch_size=at.batch_size,
            threads=at.way.threads,
            instances=at.way.instances,
            outcome="failed" if at in self.failures else "skipped",
            code=finding.code,
            reason=finding.detail,
        )


def _stopped(loads: Sequence[_Load]) -> Finding:
    seen = f": it showed {loads[0].found.samples_per_s:,.0f} samples/s" if loads else ""
    return Finding(
        code="benchmark_stopped",
        detail=f"the benchmark was stopped after one load, which is too few{seen}",
        hint="Allow more time, or ask for fewer points.",
    )


def _is_narrow(estimate: Estimate) -> bool:
    return estimate.high - estimate.low <= _NARROW * estimate.value


def measure_point(
    points: Points, at: At, settled: Callable[[Estimate], bool] = _is_narrow
) -> Generator[Task, Reply, Finding | None]:
    """Load and run the model at this place until its interval settles what it is needed for, or enough was spent.

    Returns what failed, where no point came of it.
    """
    while at not in points.failures and points.wants_more(at, settled):
        load = len(points.loads.get(at, []))
        step = MeasureThroughput(
            subject=Subject(model=points.model.file, settings=at.way.settings),
            workload=points.workload(at),
            instances=at.way.instances,
            duration_s=DURATION_S,
            samples=points.samples,
            preprocessing=points.request.preprocessing,
            load=load,
            seed=points.request.seed,
        )
        reply = yield Task(step, Progress("measure", f"{at}, load {load + 1}", points.advance()))
        points.spent_s += reply.outcome.elapsed_s
        if isinstance(reply.outcome, Failed):
            if load >= LEAST_LOADS:
                break
            points.loads.pop(at, None)
            points.failures[at] = reply.outcome.finding
        else:
            throughput = found(reply.outcome, Throughput)
            points.noise.append(throughput.noise)
            points.loads.setdefault(at, []).append(_Load(throughput, reply.outcome.files[throughput.calls_file]))
    return points.failures.get(at)
