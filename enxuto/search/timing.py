"""Times models against the baseline over fresh loads, until the interval is narrow enough or enough was spent."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from enxuto.judge.speed import speed_verdict, speedup
from enxuto.report import Latency, Measurements
from enxuto.request import OptimizeOptions, RunOptions
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
    """Relative half-width of the interval at which no further load is added, if it also tells the models apart."""
    budget_s: float
    """Of all loads together: no further one is added once this much is spent."""
    block_ms: float
    rounds: int
    confidence: float = 0.95
    """Of the intervals."""


SCREENING = Effort(first_load=0, least=3, most=3, narrow=0.02, budget_s=60.0, block_ms=10.0, rounds=12)
TUNING = replace(SCREENING, first_load=500)
CONFIRMING = Effort(first_load=1000, least=6, most=24, narrow=0.015, budget_s=60.0, block_ms=10.0, rounds=20)
_FEWEST_LOADS = 3
"""Where there is no time for more. Their interval is wide, and says so; without one there would be no answer when the
deadline comes."""
_SLOWER_CORE = 1.06
"""Times of the quickest probe of all loads: a load beyond it shared its core from beginning to end."""


@dataclass(frozen=True)
class Timed:
    """One model's times over all loads."""

    latency: Latency
    speedup: Estimate
    cpu_speedup: Estimate
    ratios: list[float]


@dataclass(frozen=True)
class SideBySide:
    """What timing several models against the first of them found."""

    timed: list[Timed]
    noise: list[HostNoise]


@dataclass(frozen=True)
class _Load:
    found: LatencyLoad
    calls: Digest
    """The raw times."""


def time_side_by_side(
    subjects: Sequence[Subject],
    request: RunOptions,
    samples: Samples | None,
    effort: Effort,
    margin: float,
    progress: Callable[[int], Progress],
) -> Generator[Task, Reply, SideBySide | Failed]:
    """Load and time all subjects, anew each time. The first subject is the baseline.

    Returns what failed, where a load could not be done: one of the subjects does not run, or time ran out.
    """
    loads: list[_Load] = []
    spent_s = 0.0
    while len(loads) < effort.most:
        step = MeasureLatency(
            subjects=list(subjects),
            workload=request.workload,
            samples=samples,
            preprocessing=request.preprocessing,
            load=effort.first_load + len(loads),
            seed=request.seed,
            block_ms=effort.block_ms,
            rounds=effort.rounds,
            most_rounds=3 * effort.rounds,
        )
        reply = yield Task(step, progress(len(loads)))
        if isinstance(reply.outcome, Failed):
            return reply.outcome
        found_here = found(reply.outcome, LatencyLoad)
        loads.append(_Load(found_here, reply.outcome.files[found_here.calls_file]))
        spent_s += reply.outcome.elapsed_s
        if len(loads) >= _FEWEST_LOADS and (_hurried(reply) or _is_enough(loads, request, effort, margin, spent_s)):
            break
    counting = _undisturbed(loads)
    calls = [load.calls for load in counting]
    reply = yield Task(SummarizeLatency(calls=calls), progress(len(loads) - 1))
    if isinstance(reply.outcome, Failed):
        return reply.outcome
    summary = found(reply.outcome, LatencySummary)
    timed = [_timed(position, counting, summary, request, effort) for position in range(len(subjects))]
    return SideBySide(timed, [load.found.noise for load in loads])


def _undisturbed(loads: list[_Load]) -> list[_Load]:
    """Those that had a core of their own, as their probes tell; all of them, where too few had one."""
    quickest = min(load.found.probe_us for load in loads)
    quiet = [
        load
        for load in loads
        if load.found.probe_us <= _SLOWER_CORE * quickest and not _counts_what_was_disturbed(load.found)
    ]
    return quiet if len(quiet) >= _FEWEST_LOADS else loads


def _counts_what_was_disturbed(load: LatencyLoad) -> bool:
    """Whether too few rounds were quiet, so that all of them count."""
    return all(load.counted) and bool(load.noise.disturbed_share)


def _is_enough(loads: list[_Load], request: RunOptions, effort: Effort, margin: float, spent_s: float) -> bool:
    """Whether the models are told apart with calls enough for the 95th percentile, or what is to be spent is spent.

    A goal that limits the percentile gets calls enough for it beyond the budget too: it could not be met without.
    """
    counting = [load.found for load in _undisturbed(loads)]
    carries_p95 = all(
        sum(timing.calls for timing in timings) >= CALLS_FOR_P95
        for timings in zip(*(load.timings for load in counting), strict=True)
    )
    if spent_s >= effort.budget_s:
        return carries_p95 or not _limits_p95(request)
    return carries_p95 and len(counting) >= effort.least and _told_apart(counting, request, effort, margin)


def _limits_p95(request: RunOptions) -> bool:
    return isinstance(request, OptimizeOptions) and request.goal is not None and request.goal.p95_ms is not None


def _told_apart(loads: list[LatencyLoad], request: RunOptions, effort: Effort, margin: float) -> bool:
    """Whether all intervals are narrow, and on one side of the margin where that is looked for at all."""
    for position in range(1, len(loads[0].timings)):
        ratios = [load.timings[position].ratio for load in loads]
        estimate = speedup(ratios, confidence=effort.confidence, seed=request.seed)
        if estimate.high - estimate.low > 2 * effort.narrow * estimate.value:
            return False
        if effort.most > effort.least and speed_verdict(estimate, margin) == "inconclusive":
            return False
    return True


def _hurried(reply: Reply) -> bool:
    """Whether another load like the last one, and what follows the loads, might outlast the deadline."""
    return reply.remaining_s is not None and reply.remaining_s < 3 * reply.outcome.elapsed_s


def _timed(position: int, loads: list[_Load], summary: LatencySummary, request: RunOptions, effort: Effort) -> Timed:
    timings = [load.found.timings[position] for load in loads]
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
        raw=[load.calls for load in loads],
        histogram=pooled.histogram,
        block_medians_ms=[timing.block_medians_ms for timing in timings],
    )
    return Timed(
        latency,
        speedup(ratios, confidence=effort.confidence, seed=request.seed),
        speedup([timing.cpu_ratio for timing in timings], confidence=effort.confidence, seed=request.seed),
        ratios,
    )


def with_times(measurements: Measurements, timed: Timed) -> Measurements:
    return measurements.model_copy(
        update={
            "latency": timed.latency,
            "speedup": timed.speedup,
            "cpu_speedup": timed.cpu_speedup,
            "load_ratios": timed.ratios,
        }
    )
