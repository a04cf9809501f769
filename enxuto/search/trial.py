"""What a search knows so far, and the pieces that its stages are made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from enxuto.errors import Finding, sentences
from enxuto.machine import Machine
from enxuto.report import Baseline, Candidate, Confirmation, LayerScore, Measurements
from enxuto.request import OptimizeOptions
from enxuto.schema import Digest
from enxuto.search.plan import Meter, Progress
from enxuto.search.speed import Conditions, on_one_thread
from enxuto.search.splits import SampleSplits
from enxuto.search.verdict import Decision
from enxuto.settings import DEFAULT_SETTINGS, RunSettings
from enxuto.signature import ModelInput
from enxuto.steps import (
    DataHealth,
    EvaluationFiles,
    HostNoise,
    Portability,
    Samples,
    Subject,
)

LATE = "the deadline came first"


@dataclass
class Looked:
    """What came of a look at samples and loads that chose nothing; the candidate keeps what was seen of it."""

    candidate: str
    confidence: float
    """That its bounds are held to."""
    baseline: Measurements
    """Of the original beside it."""
    noise: list[HostNoise]
    """Of the loads that it was timed in."""
    decision: Decision | None = None
    """None while it is under way."""


@dataclass
class Trials:
    """What is known so far; the plan's only mutable state."""

    request: OptimizeOptions
    model: ModelInput
    splits: SampleSplits
    machine: Machine
    original: Baseline
    candidates: list[Candidate] = field(default_factory=list)
    aside: dict[str, str] = field(default_factory=dict)
    """Candidates that others were preferred to after a first look, and why."""
    noise: list[HostNoise] = field(default_factory=list)
    latest_noise: list[HostNoise] = field(default_factory=list)
    """Of the models that were timed last."""
    evaluated: EvaluationFiles | None = None
    """What the original left on the samples that choose."""
    few: Samples | None = None
    """Some of the samples that choose, for a first look; None where all of them cost no more."""
    looked_at: EvaluationFiles | None = None
    """What the original left on those few."""
    statistics: Digest | None = None
    """What calibrating the original found; None where that was not wanted, or failed."""
    random_ranges: bool = False
    """Whether it was calibrated on inputs drawn by chance."""
    findings: dict[str, Finding] = field(default_factory=dict)
    """Why candidates failed, by name."""
    spent_evaluating_s: float = 0.0
    """By the original, on the samples that choose."""
    cut_short: bool = False
    """Whether the deadline left something untried."""
    layers: list[LayerScore] = field(default_factory=list)
    portability: Portability | None = None
    health: DataHealth | None = None
    earlier: str | None = None
    """The report that this search takes its measurements from."""
    made: set[Digest] = field(default_factory=set)
    """Files that recipes made in this search: those of an earlier one may be gone."""
    looks: list[Looked] = field(default_factory=list)
    """At samples that prove, in this order."""
    proving: tuple[Measurements, EvaluationFiles] | None = None
    """What the original scored and left on the samples that prove."""
    known: list[Confirmation] = field(default_factory=list)
    """Looks of the earlier search."""
    meter: Meter = field(default_factory=Meter)
    reached: float = 0.0
    """Share of the whole job that was told last."""

    @property
    def usual(self) -> RunSettings:
        """What the original is run by, and every candidate that is not about other settings."""
        return DEFAULT_SETTINGS[self.request.workload.runtimes[0]]

    @property
    def baseline(self) -> Subject:
        return Subject(model=self.model.file, settings=self.usual)

    def progress(self, phase: str, message: str, fraction: float) -> Progress:
        """Never less than what was told before."""
        self.reached = max(self.reached, min(fraction, 1.0))
        return Progress(phase, message, self.reached)

    def conditions(self, candidate: Candidate, noise: list[HostNoise]) -> Conditions:
        """Those in which a candidate was timed beside the original."""
        one_thread = on_one_thread(self.request.workload, self.usual, candidate.settings)
        return Conditions(self.request.margin, one_thread, noise)

    def replace(self, candidate: Candidate) -> None:
        position = next(i for i, other in enumerate(self.candidates) if other.name == candidate.name)
        self.candidates[position] = candidate

    def named(self, name: str) -> Candidate:
        return next(candidate for candidate in self.candidates if candidate.name == name)

    def fail(self, candidate: Candidate, finding: Finding) -> None:
        """Make a row with its reason of a candidate; it stands among them already."""
        self.replace(failed(self, candidate, finding))

    def skip(self, candidate: Candidate, reason: str) -> None:
        self.replace(candidate.model_copy(update={"outcome": "skipped", "reason": reason}))

    def alive(self) -> list[Candidate]:
        """Those that may still win."""
        return [each for each in self.candidates if each.outcome == "feasible" and each.name not in self.aside]

    def judged(self) -> list[Candidate]:
        """Those of them whose accuracy was seen on all samples that choose, where there are any."""
        return [each for each in self.alive() if self.is_judged(each)]

    def is_judged(self, candidate: Candidate) -> bool:
        """Whether a candidate's accuracy was seen on all samples that choose; true where there are none."""
        if not self.original.selection.samples:
            return True
        return candidate.selection.drop is not None and candidate.selection.samples >= self.original.selection.samples


def subject_of(candidate: Candidate) -> Subject:
    assert candidate.model is not None, "only a candidate with a file is run"  # noqa: S101
    return Subject(model=candidate.model.sha256, settings=candidate.settings)


def failed(trials: Trials, candidate: Candidate, finding: Finding) -> Candidate:
    """The row that a candidate becomes."""
    trials.findings[candidate.name] = finding
    return Candidate(
        name=candidate.name,
        recipe=candidate.recipe,
        model=None,
        settings=candidate.settings,
        outcome="not_applicable" if finding.inapplicable else "failed",
        code=finding.code,
        reason=sentences(finding.detail, finding.hint).removeprefix(f"{candidate.name}: "),
    )
