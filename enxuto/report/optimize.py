"""The report of an ``optimize`` job."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enxuto.goal import Goal
from enxuto.recipe import TriedRecipe
from enxuto.report.common import JudgedReport, Measurements, ModelRef, Verdict
from enxuto.request import OptimizeOptions
from enxuto.schema import Value
from enxuto.settings import OnnxRuntimeSettings, RunSettings
from enxuto.steps import DataHealth, Diagnosis, Portability

Outcome = Literal["feasible", "infeasible", "not_applicable", "failed", "duplicate", "skipped"]


class SlowerOperator(Value):
    """Operators of a candidate that take longer than what they stand for in the original."""

    name: str
    """Of the layer, or of the operator type where no single layer can be named."""
    operator: str
    before_us: float
    """In one call of the original; 0 where it has nothing of the kind."""
    after_us: float


class LayerScore(Value):
    """What one layer costs and brings when it is quantized: what another goal is answered from."""

    name: str
    operator: str
    parameters: int
    noise: float
    """Power of the error at the outputs with only this layer quantized, as a share of the outputs' power."""
    own_noise: float | None = None
    """The part that no other layer shares; null: all of it."""
    tensor_noise: dict[str, float] = Field(default_factory=dict)
    """The part of each tensor that is quantized for its sake: shared by neighbours, and added once for all of them."""
    writes: str | None = None
    """The tensor among these that it writes."""
    follows: bool = False
    """Whether it has nothing to quantize itself, as a sum or a pool, and runs in integers between others that do."""
    sqnr_db: float | None
    bytes_saved: int
    before_us: float | None = None
    """Time in one call of the original, as its profile tells; null where it could not be told apart."""
    after_us: float | None = None
    """The same with everything quantized, what quantizes and restores tensors around it included."""
    border_us: float | None = None
    """About what it takes to quantize what it writes, or to restore it, where a neighbour computes in the other way."""


class NearMiss(Value):
    """A candidate that comes near what was asked."""

    name: str
    misses: list[str]
    """The constraints that it does not meet, in words."""
    short_by: float
    """How far it is from the worst of them, as a share of the limit."""


class Candidate(Value):
    """A model that the search tried."""

    name: str
    recipe: TriedRecipe
    """Empty where the original itself was tried under other settings."""
    model: ModelRef | None
    settings: RunSettings = Field(default_factory=OnnxRuntimeSettings)
    """Runtime that it is run by, and how that is set up."""
    outcome: Outcome
    reason: str = ""
    """Why it is not feasible, in a sentence."""
    code: str = ""
    """Of the finding that it failed with."""
    notes: list[str] = Field(default_factory=list)
    selection: Measurements = Field(default_factory=Measurements)
    """On the samples and loads that choose."""
    confirmation: Measurements | None = None
    """On samples and loads that chose nothing; of those in ``confirmations`` only."""
    diagnosis: Diagnosis | None = None
    """Where its error comes in; of candidates that lost accuracy."""
    slower: list[SlowerOperator] = Field(default_factory=list)
    """Of candidates that got slower: the operators responsible, the worst first."""


class Baseline(Value):
    """The original model, as it was given."""

    model: ModelRef
    selection: Measurements
    confirmation: Measurements | None = None
    """Beside the candidate that the answer is about."""


class Confirmation(Value):
    """A look at one candidate, on samples and loads that chose nothing."""

    candidate: str
    confidence: float
    """That its bounds are held to. What several looks may be wrong by adds up to what the goal allows."""
    baseline: Measurements
    """The original beside it."""
    verdict: Verdict
    why: str
    """What came of it, in a sentence."""


class Splits(Value):
    """How many samples played which role."""

    calibration: int
    selection: int
    confirmation: int


class OptimizeReport(JudgedReport):
    kind: Literal["optimize"] = "optimize"
    request: OptimizeOptions
    """As asked, with every default resolved."""
    goal: Goal | None
    verdict: Verdict
    why: str
    """The verdict in a sentence or two."""
    recommended: ModelRef
    """The winner's model; the original where nothing gained."""
    winner: str | None
    """Name of the winning candidate."""
    unproven: str | None
    """Name of the best candidate by point estimate, where none could be proven."""
    baseline: Baseline
    candidates: list[Candidate]
    pareto: list[str]
    """Names of the candidates that no other beats in speed, size and metric at once; ``original`` among them."""
    splits: Splits
    confirmations: list[Confirmation] = Field(default_factory=list)
    """In the order in which candidates were looked at. A further one was looked at only where none before it was
    proven."""
    stopped: Literal["deadline", "cancelled"] | None = None
    """What ended the search before it was done."""
    layers: list[LayerScore] = Field(default_factory=list)
    """Scores that mixed precision was solved from; empty where none were taken."""
    nearest: list[NearMiss] = Field(default_factory=list)
    """Where no candidate meets the goal: those that come nearest, the nearest first."""
    blocking: str | None = None
    """Where no candidate meets the goal: the constraint that stands in the way."""
    portability: Portability | None = None
    """On which processors the winner holds its accuracy."""
    data: DataHealth | None = None
    """What is wrong with the data, or may be."""
    earlier: str | None = None
    """What this answer takes measurements from, where that was named: a job, or the digest of its report."""
