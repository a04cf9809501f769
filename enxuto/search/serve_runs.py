"""Load runs of a serving plan: what is known so far, and runs that are repeated until one was quiet."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from enxuto.report import Point
from enxuto.request import BenchmarkOptions
from enxuto.scenario import Batching, ServingGoal
from enxuto.schema import Digest
from enxuto.search.plan import Progress, Reply, Task, found
from enxuto.settings import RunSettings
from enxuto.signature import ModelInput
from enxuto.steps import Failed, LoadRun, LoadTraces, Poisson, RunLoad, Samples, Subject

QUIET = 0.5
"""Share of a run's queries that makes a check worth its word."""
TRIES = 3
FIRST_LOAD = 5000
"""No phase shares the number of a fresh load with another."""
_SLOWER = 1.06
"""Times the quickest probe of all runs: slower ones had company all along."""


@dataclass(frozen=True)
class Ran:
    found: LoadRun
    latencies: Digest


@dataclass
class Serving:
    """What is known so far."""

    request: BenchmarkOptions
    goal: ServingGoal
    model: ModelInput
    samples: Samples | None
    points: Sequence[Point]
    cores: int
    traces: dict[int, list[LoadTraces]] = field(default_factory=dict)
    """By the position of the settings."""
    failures: list[str] = field(default_factory=list)
    probe_us: float = float("inf")
    """The quickest of all load runs so far."""

    @property
    def settings(self) -> list[RunSettings]:
        return list(dict.fromkeys(point.settings for point in self.points))

    def of(self, settings: RunSettings) -> list[Point]:
        return [point for point in self.points if point.settings == settings]

    def note(self, run: LoadRun) -> None:
        if run.quiet and run.quiet.probe_us:
            self.probe_us = min(self.probe_us, run.quiet.probe_us)

    def quiet_share(self, run: Ran) -> float:
        """Of its queries; none, where the core was slow all along."""
        quiet = run.found.quiet
        return quiet.share if quiet and (quiet.probe_us or 0.0) <= _SLOWER * self.probe_us else 0.0

    def quietest(self, runs: Sequence[Ran]) -> Ran:
        return max(runs, key=self.quiet_share)


def until_quiet(
    serving: Serving, step: RunLoad, load: int, progress: Progress
) -> Generator[Task, Reply, list[Ran] | Failed]:
    """Fresh loads, until one was quiet; all of them are kept."""
    runs: list[Ran] = []
    for position in range(TRIES):
        reply = yield Task(step.model_copy(update={"load": load + position}), progress)
        if isinstance(reply.outcome, Failed):
            return reply.outcome
        run = found(reply.outcome, LoadRun)
        runs.append(Ran(run, reply.outcome.files[run.latencies_file]))
        serving.note(run)
        if serving.quiet_share(runs[-1]) >= QUIET:
            break
    return runs


def load_run(serving: Serving, settings: RunSettings, threads: int, batching: Batching, rate_per_s: float) -> RunLoad:
    return RunLoad(
        subject=Subject(model=serving.model.file, settings=settings),
        workload=serving.request.workload.model_copy(update={"threads": threads}),
        arrivals=Poisson(rate_per_s=rate_per_s),
        batching=batching,
        duration_s=serving.goal.check_s,
        percentile=95.0,
        limit_ms=serving.goal.p95_ms,
        samples=serving.samples,
        preprocessing=serving.request.preprocessing,
        load=FIRST_LOAD,
        seed=serving.request.seed,
    )
