"""What a finished job hands back, drawn from its report; the report itself holds everything."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from enxuto.recipe import TriedRecipe
from enxuto.report import (
    Axis,
    Baseline,
    BenchmarkReport,
    Candidate,
    CompareReport,
    Knee,
    LargestBatch,
    MatchedGroup,
    Measurements,
    Node,
    OperatorType,
    OptimizeReport,
    Outcome,
    Point,
    ProfiledModel,
    ProfileReport,
    Report,
    Run,
    ScenarioResult,
    ServingPlan,
    Verdict,
)
from enxuto.schema import Digest, Value
from enxuto.settings import RunSettings, RuntimeName
from enxuto.steps import Drop, Estimate, Fidelity, MemoryUse, Peaks

SLOWEST_NODES = 100
"""Nodes in the result of a profile, at most: a network may have tens of thousands."""


class LatencyResult(Value):
    """Wall time of one call, over several fresh loads; the report has the histogram and the time series."""

    p50_ms: float
    p95_ms: float | None
    """Null below 200 calls."""
    p99_ms: float | None
    """Null below 1,000 calls."""
    cpu_ms: float
    """Process CPU time a call, median over loads."""
    throughput: float
    """Samples a second: batch size over the median."""
    calls: int
    loads: int
    raw: list[Digest]
    """Files of the job with every call's time, one a load, by their SHA-256."""


class MeasurementsResult(Value):
    """What was seen of one model on one split; null where it was not measured."""

    metric: float | None
    samples: int
    drop: Drop | None
    fidelity: Fidelity | None
    latency: LatencyResult | None
    speedup: Estimate | None
    """Baseline's time over this model's, interval by the bootstrap over fresh loads."""
    cpu_speedup: Estimate | None
    """The same of process CPU time."""
    memory_bytes: int | None
    """Peak resident memory of a fresh process that ran the model."""
    memory: MemoryUse | None
    """What it went to."""


class BaselineResult(Value):
    """The original model as it was measured."""

    model: str | None
    """Its id."""
    measurements: MeasurementsResult
    confirmation: MeasurementsResult | None


class CandidateResult(Value):
    """A model that the search tried."""

    name: str
    model: str | None
    """Its id, where it was kept."""
    recipe: TriedRecipe
    runtime: RuntimeName
    settings: RunSettings
    outcome: Outcome
    reason: str
    measurements: MeasurementsResult
    """On the samples and loads that choose."""
    confirmation: MeasurementsResult | None
    """On samples and loads that chose nothing; of the winner only."""


class OptimizeResult(Value):
    kind: Literal["optimize"] = "optimize"
    verdict: Verdict
    why: str
    """The verdict in a sentence or two."""
    model: str | None
    """Id of the model that is recommended: the original where nothing gained."""
    winner: str | None
    """Name of the winning candidate."""
    unproven: str | None
    """Name of the best candidate by point estimate, where none could be proven."""
    baseline: BaselineResult
    candidates: list[CandidateResult]
    pareto: list[str]
    """Ids of the models that no other beats in speed, size and metric at once."""
    stopped: Literal["deadline", "cancelled"] | None
    """What ended the search before it was done."""


class CompareResult(Value):
    kind: Literal["compare"] = "compare"
    verdict: Verdict
    why: str
    passed: bool
    speed: Axis
    accuracy: Axis | None
    memory: Axis
    size: Axis


class BenchmarkResult(Value):
    kind: Literal["benchmark"] = "benchmark"
    why: str
    """What was found, in a sentence or two."""
    points: list[Point]
    """Of the offline scenario."""
    knee: Knee | None
    """The one with the highest throughput."""
    knees: list[Knee]
    """One for each way to run the model whose curve was searched."""
    largest_batches: list[LargestBatch]
    """Within the memory limit, where one was given."""
    runs: list[Run]
    """Of the other scenarios."""
    scenario: ScenarioResult | None
    """What a load scenario comes to."""
    plan: ServingPlan | None
    plan_why: str
    """Why this plan, or why none; empty where none was asked."""
    stopped: Literal["deadline", "cancelled"] | None


class Roofline(Value):
    """What the machine can do at most, and where its roof bends."""

    peaks: Peaks
    measured_before: bool
    """Whether the peaks are from an earlier job on the same kind of machine."""
    fp32_ridge: float
    """Operations a byte above which FP32 work is bound by computing, and below which by memory."""
    int8_ridge: float
    """The same for 8-bit integers."""


class ProfileSide(Value):
    """One model as it was profiled."""

    model: str | None
    """Its id."""
    settings: RunSettings
    call_ms: float
    """Median time of a call while nothing is recorded."""
    recorded_ms: float
    """The same while nodes are timed."""
    nodes: list[Node] = Field(max_length=SLOWEST_NODES)
    """Slowest first; at most 100, the report holds all of them."""
    operators: list[OperatorType]
    """Slowest first."""


class ProfileResult(ProfileSide):
    kind: Literal["profile"] = "profile"
    why: str
    """Where the time goes, in a sentence or two."""
    roofline: Roofline
    against: ProfileSide | None
    """The model beside it, where there is one."""
    groups: list[MatchedGroup] = Field(max_length=SLOWEST_NODES)
    """Nodes of both that do the same work, largest difference first; at most 100."""


JobResult = OptimizeResult | CompareResult | BenchmarkResult | ProfileResult


def result_of(report: Report) -> JobResult:
    """The result of a job whose report names its models by id, wherever they were kept."""
    if isinstance(report, CompareReport):
        return _compare(report)
    if isinstance(report, BenchmarkReport):
        return _benchmark(report)
    if isinstance(report, ProfileReport):
        return _profile(report)
    return _optimize(report)


def _optimize(report: OptimizeReport) -> OptimizeResult:
    return OptimizeResult(
        verdict=report.verdict,
        why=report.why,
        model=report.recommended.id,
        winner=report.winner,
        unproven=report.unproven,
        baseline=_baseline(report.baseline),
        candidates=[_candidate(candidate) for candidate in report.candidates],
        pareto=_pareto(report),
        stopped=report.stopped,
    )


def _compare(report: CompareReport) -> CompareResult:
    return CompareResult(
        verdict=report.verdict,
        why=report.why,
        passed=report.passed,
        speed=report.speed,
        accuracy=report.accuracy,
        memory=report.memory,
        size=report.size,
    )


def _benchmark(report: BenchmarkReport) -> BenchmarkResult:
    return BenchmarkResult(
        why=report.why,
        points=report.points,
        knee=max(report.knees, key=lambda knee: knee.samples_per_s, default=None),
        knees=report.knees,
        largest_batches=report.largest_batches,
        runs=report.runs,
        scenario=report.scenario,
        plan=report.plan,
        plan_why=report.plan_why,
        stopped=report.stopped,
    )


def _profile(report: ProfileReport) -> ProfileResult:
    return ProfileResult(
        **dict(_side(report.profile)),
        why=report.why,
        roofline=_roofline(report.peaks, report.peaks_measured_before),
        against=_side(report.against) if report.against else None,
        groups=report.groups[:SLOWEST_NODES],
    )


def _side(profiled: ProfiledModel) -> ProfileSide:
    return ProfileSide(
        model=profiled.model.id,
        settings=profiled.settings,
        call_ms=profiled.call_ms,
        recorded_ms=profiled.recorded_ms,
        nodes=sorted(profiled.nodes, key=lambda node: -node.ms)[:SLOWEST_NODES],
        operators=profiled.operators,
    )


def _roofline(peaks: Peaks, measured_before: bool) -> Roofline:
    return Roofline(
        peaks=peaks,
        measured_before=measured_before,
        fp32_ridge=peaks.fp32_gflops / peaks.bandwidth_gb_s,
        int8_ridge=peaks.int8_gops / peaks.bandwidth_gb_s,
    )


def _baseline(baseline: Baseline) -> BaselineResult:
    return BaselineResult(
        model=baseline.model.id,
        measurements=_measurements(baseline.selection),
        confirmation=_measurements(baseline.confirmation) if baseline.confirmation else None,
    )


def _candidate(candidate: Candidate) -> CandidateResult:
    return CandidateResult(
        name=candidate.name,
        model=candidate.model.id if candidate.model else None,
        recipe=candidate.recipe,
        runtime=candidate.settings.runtime,
        settings=candidate.settings,
        outcome=candidate.outcome,
        reason=candidate.reason,
        measurements=_measurements(candidate.selection),
        confirmation=_measurements(candidate.confirmation) if candidate.confirmation else None,
    )


def _measurements(seen: Measurements) -> MeasurementsResult:
    latency = seen.latency and LatencyResult(**_fields(LatencyResult, seen.latency))
    return MeasurementsResult(**{**_fields(MeasurementsResult, seen), "latency": latency})


def _fields(kind: type[Value], whole: Value) -> dict[str, Any]:
    """What a smaller value takes from a larger one: the fields of the same names."""
    return {name: getattr(whole, name) for name in kind.model_fields}


def _pareto(report: OptimizeReport) -> list[str]:
    ids = {candidate.name: candidate.model.id for candidate in report.candidates if candidate.model}
    ids["original"] = report.baseline.model.id
    return [id_ for name in report.pareto if (id_ := ids.get(name))]
