"""Times models against the baseline over fresh loads, until the interval is narrow enough or enough was spent."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from enxuto.judge.speed import speedup
from enxuto.report import Latency, Measurements
from enxuto.request import CompareOptions, OptimizeOptions
from enxuto.schema import Digest
from enxuto.search.plan import Progress, Reply, Task, found
from enxuto.steps import (
    CALLS_FOR_P95,
    Estimate,
    Failed,
    HostNoise,
    LatencyLoad,
    LatencySummary,
    MeasureLatency,
    Samples,
    Subject,
    SummarizeLatency,
)


@dataclass(frozen=True)
class Effort:
    """How much is spent on telling two models apart."""

    first_load: int
    """Number of the first load; no two phases share one, so none shares its luck."""
    least: int
    most: int
    narrow: float
    """Relative half-width of the interval at which no further load is added."""
    block_ms: float
    blocks: int


SCREENING = Effort(first_load=0, least=3, most=3, narrow=0.02, block_ms=20.0, blocks=8)
CONFIRMING = Effort(first_load=1000, least=6, most=12, narrow=0.02, block_ms=30.0, blocks=10)
_FEWEST_IN_A_HURRY = 3
"""Their interval is wide, and says so; without one there would be no answer when the deadline comes."""


@dataclass(frozen=True)
class Timed:
    """One model's times over all loads."""

    latency: Latency
    speedup: Estimate
    ratios: list[float]


@dataclass(frozen=True)
class SideBySide:
    """What timing several models against the first of them found."""

    timed: list[Timed]
    noise: list[HostNoise]


def time_side_by_side(
    subjects: Sequence[Subject],
    request: OptimizeOptions | CompareOptions,
    samples: Samples | None,
    effort: Effort,
    progress: Callable[[int], Progress],
) -> Generator[Task, Reply, SideBySide | Failed]:
    """Load and time all subjects, anew each time. The first subject is the baseline.

    Returns what failed, where a load could not be done: one of the subjects does not run, or time ran out.
    """
    loads: list[LatencyLoad] = []
    calls: list[Digest] = []
    while len(loads) < effort.most:
        step = MeasureLatency(
            subjects=list(subjects),
            workload=request.workload,
            samples=samples,
            preprocessing=request.preprocessing,
            load=effort.first_load + len(loads),
            seed=request.seed,
            block_ms=effort.block_ms,
            blocks=effort.blocks,
        )
        reply = yield Task(step, progress(len(loads)))
        if isinstance(reply.outcome, Failed):
            return reply.outcome
        load = found(reply.outcome, LatencyLoad)
        loads.append(load)
        calls.append(reply.outcome.files[load.calls_file])
        if len(loads) >= _FEWEST_IN_A_HURRY and _hurried(reply):
            break
        if len(loads) >= effort.least and _told_apart(loads, effort, request.seed):
            break
    reply = yield Task(SummarizeLatency(calls=calls), progress(len(loads) - 1))
    if isinstance(reply.outcome, Failed):
        return reply.outcome
    summary = found(reply.outcome, LatencySummary)
    timed = [_timed(position, loads, summary, calls, request) for position in range(len(subjects))]
    return SideBySide(timed, [load.noise for load in loads])


def _told_apart(loads: list[LatencyLoad], effort: Effort, seed: int) -> bool:
    """Whether intervals are narrow, and calls enough for the percentile that a goal may ask for."""
    for position in range(len(loads[0].timings)):
        if sum(load.timings[position].calls for load in loads) < CALLS_FOR_P95:
            return False
    for position in range(1, len(loads[0].timings)):
        estimate = speedup([load.timings[position].ratio for load in loads], seed=seed)
        if estimate.high - estimate.low > 2 * effort.narrow * estimate.value:
            return False
    return True


def _hurried(reply: Reply) -> bool:
    """Whether another load like the last one, and what follows the loads, might outlast the deadline."""
    return reply.remaining_s is not None and reply.remaining_s < 3 * reply.outcome.elapsed_s


def _timed(
    position: int,
    loads: list[LatencyLoad],
    summary: LatencySummary,
    calls: list[Digest],
    request: OptimizeOptions | CompareOptions,
) -> Timed:
    timings = [load.timings[position] for load in loads]
    pooled = summary.subjects[position]
    ratios = [timing.ratio for timing in timings]
    latency = Latency(
        p50_ms=pooled.p50_ms,
        p95_ms=pooled.p95_ms,
        p99_ms=pooled.p99_ms,
        cpu_ms=statistics.median(timing.cpu_ms for timing in timings),
        throughput=request.workload.batch_size / pooled.p50_ms * 1000,
        calls=pooled.calls,
        loads=len(loads),
        raw=calls,
    )
    return Timed(latency, speedup(ratios, seed=request.seed), ratios)


def with_times(measurements: Measurements, timed: Timed) -> Measurements:
    return measurements.model_copy(
        update={"latency": timed.latency, "speedup": timed.speedup, "load_ratios": timed.ratios}
    )
