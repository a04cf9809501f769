"""What a search hands back."""

from __future__ import annotations

from typing import Literal

from app.core.results.common import MeasurementsResult, measurements_of
from enxuto.recipe import TriedRecipe
from enxuto.report import (
    Baseline,
    Candidate,
    Confirmation,
    LayerScore,
    NearMiss,
    OptimizeReport,
    Outcome,
    SlowerOperator,
    Verdict,
)
from enxuto.schema import Value
from enxuto.settings import RunSettings, RuntimeName
from enxuto.steps import DataHealth, Diagnosis, Portability


class BaselineResult(Value):
    """The original model as it was measured."""

    model: str | None
    """Its id."""
    measurements: MeasurementsResult
    confirmation: MeasurementsResult | None
    """Beside the candidate that the answer is about."""


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
    """On samples and loads that chose nothing; of those in ``confirmations`` only."""
    diagnosis: Diagnosis | None
    """Where its error comes in, layer by layer; of candidates that lost accuracy."""
    slower: list[SlowerOperator]
    """Operators that take longer than in the original; of candidates that got slower."""


class ConfirmationResult(Value):
    """A look at one candidate, on samples and loads that chose nothing."""

    candidate: str
    """Its name; what was seen is its ``confirmation``."""
    confidence: float
    """That its bounds are held to. What several looks may be wrong by adds up to what the goal allows."""
    baseline: MeasurementsResult
    """The original beside it."""
    verdict: Verdict
    why: str
    """What came of it, in a sentence."""


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
    confirmations: list[ConfirmationResult]
    """In the order in which candidates were looked at. A further one was looked at only where none before it was
    proven."""
    pareto: list[str]
    """Ids of the models that no other beats in speed, size and metric at once."""
    nearest: list[NearMiss]
    """Where no candidate meets the goal: those that come nearest, the nearest first."""
    blocking: str | None
    """Where no candidate meets the goal: the constraint that stands in the way."""
    layers: list[LayerScore]
    """What each layer costs and brings when it is quantized; what another goal can be answered from."""
    portability: Portability | None
    """On which processors the winner holds its accuracy."""
    data: DataHealth | None
    """What is wrong with the data, or may be."""
    earlier: str | None
    """The job whose measurements this answer rests on, where one was named."""
    stopped: Literal["deadline", "cancelled"] | None
    """What ended the search before it was done."""


def optimize_result(report: OptimizeReport) -> OptimizeResult:
    return OptimizeResult(
        verdict=report.verdict,
        why=report.why,
        model=report.recommended.id,
        winner=report.winner,
        unproven=report.unproven,
        baseline=_baseline(report.baseline),
        candidates=[_candidate(candidate) for candidate in report.candidates],
        confirmations=[_confirmation(each) for each in report.confirmations],
        pareto=_pareto(report),
        nearest=report.nearest,
        blocking=report.blocking,
        layers=report.layers,
        portability=report.portability,
        data=report.data,
        earlier=report.earlier,
        stopped=report.stopped,
    )


def _baseline(baseline: Baseline) -> BaselineResult:
    return BaselineResult(
        model=baseline.model.id,
        measurements=measurements_of(baseline.selection),
        confirmation=measurements_of(baseline.confirmation) if baseline.confirmation else None,
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
        measurements=measurements_of(candidate.selection),
        confirmation=measurements_of(candidate.confirmation) if candidate.confirmation else None,
        diagnosis=candidate.diagnosis,
        slower=candidate.slower,
    )


def _confirmation(look: Confirmation) -> ConfirmationResult:
    return ConfirmationResult(
        candidate=look.candidate,
        confidence=look.confidence,
        baseline=measurements_of(look.baseline),
        verdict=look.verdict,
        why=look.why,
    )


def _pareto(report: OptimizeReport) -> list[str]:
    ids = {candidate.name: candidate.model.id for candidate in report.candidates if candidate.model}
    ids["original"] = report.baseline.model.id
    return [id_ for name in report.pareto if (id_ := ids.get(name))]
