"""What a finished job hands back, drawn from its report; the report itself holds everything."""

from __future__ import annotations

from typing import Literal

from enxuto.recipe import Recipe
from enxuto.report import (
    Axis,
    Baseline,
    Candidate,
    CompareReport,
    Measurements,
    OptimizeReport,
    Outcome,
    Verdict,
)
from enxuto.schema import Value
from enxuto.settings import RunSettings, RuntimeName


class BaselineResult(Value):
    """The original model as it was measured."""

    model: str | None
    """Its id."""
    measurements: Measurements
    confirmation: Measurements | None


class CandidateResult(Value):
    """A model that the search tried."""

    name: str
    model: str | None
    """Its id, where it was kept."""
    recipe: Recipe
    runtime: RuntimeName
    settings: RunSettings
    outcome: Outcome
    reason: str
    measurements: Measurements
    """On the samples and loads that choose."""
    confirmation: Measurements | None
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


def result_of(report: OptimizeReport | CompareReport) -> OptimizeResult | CompareResult:
    """The result of a job whose report names its models by id, wherever they were kept."""
    if isinstance(report, CompareReport):
        return CompareResult(
            verdict=report.verdict,
            why=report.why,
            passed=report.passed,
            speed=report.speed,
            accuracy=report.accuracy,
            memory=report.memory,
            size=report.size,
        )
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


def _baseline(baseline: Baseline) -> BaselineResult:
    return BaselineResult(model=baseline.model.id, measurements=baseline.selection, confirmation=baseline.confirmation)


def _candidate(candidate: Candidate) -> CandidateResult:
    return CandidateResult(
        name=candidate.name,
        model=candidate.model.id if candidate.model else None,
        recipe=candidate.recipe,
        runtime=candidate.settings.runtime,
        settings=candidate.settings,
        outcome=candidate.outcome,
        reason=candidate.reason,
        measurements=candidate.selection,
        confirmation=candidate.confirmation,
    )


def _pareto(report: OptimizeReport) -> list[str]:
    ids = {candidate.name: candidate.model.id for candidate in report.candidates if candidate.model}
    ids["original"] = report.baseline.model.id
    return [id_ for name in report.pareto if (id_ := ids.get(name))]
