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

Outcome = Literal["feasible", "infeasible", "not_applicable", "failed", "duplicate", "skipped"]


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
    """On samples and loads that chose nothing; of the winner only."""


class Baseline(Value):
    """The original model, as it was given."""

    model: ModelRef
    selection: Measurements
    confirmation: Measurements | None = None


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
    stopped: Literal["deadline", "cancelled"] | None = None
    """What ended the search before it was done."""
