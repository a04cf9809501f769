"""Tries recipes: applies each, and scores it on the samples that choose."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from enxuto.errors import Finding, sentences
from enxuto.goal import MaxDrop
from enxuto.machine import Machine
from enxuto.recipe import Recipe, recipe_name
from enxuto.report import Baseline, Candidate, Measurements, ModelRef
from enxuto.request import OptimizeOptions
from enxuto.schema import Digest
from enxuto.search.plan import Meter, PlanFailed, Progress, Reply, Task, found
from enxuto.search.speed import Conditions, on_one_thread
from enxuto.search.splits import SampleSplits, count
from enxuto.search.timing import CONFIRMING, SCREENING
from enxuto.settings import DEFAULT_SETTINGS, RunSettings
from enxuto.signature import ModelInput
from enxuto.steps import (
    Applied,
    ApplyRecipe,
    EvaluateModel,
    Evaluation,
    EvaluationFiles,
    Failed,
    HostNoise,
    Samples,
    Subject,
)

_FRESH_PROCESS_S = 1.0
_SUBJECT_S = 0.4
"""To load a small model, warm it up and time it."""
_CALLS_A_LOAD = 50
"""Of a model whose calls are slow, warm-up included."""


@dataclass
class Trials:
    """What is known so far; the plan's only mutable state."""

    request: OptimizeOptions
    model: ModelInput
    splits: SampleSplits
    machine: Machine
    original: Baseline
    candidates: list[Candidate] = field(default_factory=list)
    noise: list[HostNoise] = field(default_factory=list)
    latest_noise: list[HostNoise] = field(default_factory=list)
    """Of the models that were timed last."""
    evaluated: EvaluationFiles | None = None
    """What the original left on the samples that choose."""
    findings: dict[str, Finding] = field(default_factory=dict)
    """Why candidates failed, by name."""
    spent_evaluating_s: float = 0.0
    """By the original, on the samples that choose."""
    meter: Meter = field(default_factory=Meter)

    @property
    def usual(self) -> RunSettings:
        """What the original is run by, and every candidate that is not about other settings."""
        return DEFAULT_SETTINGS[self.request.workload.runtimes[0]]

    @property
    def baseline(self) -> Subject:
        return Subject(model=self.model.file, settings=self.usual)

    def progress(self, phase: str, message: str, fraction: float) -> Progress:
        return Progress(phase, message, min(max(fraction, 0.0), 1.0))

    def conditions(self, candidate: Candidate) -> Conditions:
        """Those in which a candidate was timed last, beside the original."""
        one_thread = on_one_thread(self.request.workload, self.usual, candidate.settings)
        return Conditions(self.request.margin, one_thread, self.latest_noise)

    def replace(self, candidate: Candidate) -> None:
        position = next(i for i, other in enumerate(self.candidates) if other.name == candidate.name)
        self.candidates[position] = candidate

    def alive(self) -> list[Candidate]:
        return [candidate for candidate in self.candidates if candidate.outcome == "feasible"]


def evaluate_original(trials: Trials) -> Generator[Task, Reply, None]:
    """Score the original on the samples that choose, and keep its outputs for the others to be compared with."""
    if trials.splits.selection is None or trials.request.metric is None:
        return
    step = evaluation_step(trials, trials.baseline, trials.splits.selection, None)
    reply = yield Task(step, trials.progress("evaluate", "evaluating the original", 0.02))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    evaluation = found(reply.outcome, Evaluation)
    _require_something_to_lose(trials, evaluation)
    trials.evaluated = evaluation_files(evaluation, reply.outcome.files)
    trials.spent_evaluating_s = reply.outcome.elapsed_s
    trials.original = trials.original.model_copy(update={"selection": scored(evaluation)})


def _require_something_to_lose(trials: Trials, evaluation: Evaluation) -> None:
    limit = trials.request.goal.max_drop if trials.request.goal else MaxDrop()
    if limit and limit.relative and evaluation.metric_value == 0 and evaluation.samples:
        raise PlanFailed(
            Finding(
                code="metric_is_zero",
                detail=f"The original's metric is 0 on {evaluation.samples:,} samples: no drop can be a share of it.",
                hint="Check that the labels belong to this model, or ask for an absolute drop (relative: false).",
            )
        )


def try_recipes(trials: Trials, recipes: Sequence[Recipe]) -> Generator[Task, Reply, bool]:
    """Apply and score each recipe; returns whether the deadline left some untried."""
    remaining: float | None = None
    costs: list[float] = []
    for position, recipe in enumerate(recipes):
        reserve = max(costs, default=0.0) + (confirmation_reserve_s(trials) if trials.alive() else 0.0)
        if remaining is not None and remaining < reserve:
            trials.candidates.extend(_untried(trials, recipe) for recipe in recipes[position:])
            return True
        cost, remaining = yield from _try_recipe(trials, recipe, 0.04 + 0.46 * position / len(recipes))
        costs.append(cost)
    return False


def confirmation_reserve_s(trials: Trials, to_time: int | None = None) -> float:
    """Seconds that timing, and confirming the best, will want at least; by default what is there and one more."""
    to_time = len(trials.alive()) + 1 if to_time is None else to_time
    chosen, proven = count(trials.splits.selection), count(trials.splits.confirmation)
    evaluating = 2 * trials.spent_evaluating_s * (proven / chosen if chosen else 0)
    call_s = trials.spent_evaluating_s / chosen * trials.request.workload.batch_size if chosen else 0.0
    subject_s = _SUBJECT_S + _CALLS_A_LOAD * call_s
    screening = SCREENING.least * (_FRESH_PROCESS_S + (to_time + 1) * subject_s)
    confirming = CONFIRMING.least * (_FRESH_PROCESS_S + 2 * subject_s)
    return evaluating + screening + confirming + 2 * _FRESH_PROCESS_S  # the last two for memory


def _candidate(trials: Trials, recipe: Recipe) -> Candidate:
    """Before anything is known of it."""
    name = recipe_name(recipe)
    return Candidate(name=name, recipe=recipe, model=None, settings=trials.usual, outcome="feasible")


def _untried(trials: Trials, recipe: Recipe) -> Candidate:
    update = {"outcome": "skipped", "reason": "the deadline came first"}
    return _candidate(trials, recipe).model_copy(update=update)


def _try_recipe(trials: Trials, recipe: Recipe, fraction: float) -> Generator[Task, Reply, tuple[float, float | None]]:
    """Returns the seconds it took, and those that remain."""
    candidate = _candidate(trials, recipe)
    name = candidate.name
    apply = ApplyRecipe(
        model=trials.model.file,
        recipe=recipe,
        calibration=trials.splits.calibration,
        preprocessing=trials.request.preprocessing,
        seed=trials.request.seed,
        instruction_sets=trials.machine.instruction_sets,
        workload=trials.request.workload,
    )
    reply = yield Task(apply, trials.progress("apply", f"applying {name}", fraction))
    spent = reply.outcome.elapsed_s
    if isinstance(reply.outcome, Failed):
        trials.candidates.append(failed(trials, candidate, reply.outcome.finding))
        return spent, reply.remaining_s
    applied = found(reply.outcome, Applied)
    model = ModelRef(sha256=reply.outcome.files[applied.file], size_bytes=applied.size_bytes)
    candidate = candidate.model_copy(update={"model": model, "notes": applied.notes})
    if twin := _twin(trials, model.sha256):
        candidate = candidate.model_copy(update={"outcome": "duplicate", "reason": f"the same file as {twin}"})
    trials.candidates.append(candidate)
    if twin or trials.evaluated is None or trials.splits.selection is None:
        return spent, reply.remaining_s
    step = evaluation_step(trials, subject_of(candidate), trials.splits.selection, trials.evaluated)
    reply = yield Task(step, trials.progress("evaluate", f"evaluating {name}", fraction))
    if isinstance(reply.outcome, Failed):
        trials.replace(failed(trials, candidate, reply.outcome.finding))
    else:
        selection = scored(found(reply.outcome, Evaluation))
        trials.replace(candidate.model_copy(update={"selection": selection}))
    return spent + reply.outcome.elapsed_s, reply.remaining_s


def _twin(trials: Trials, digest: Digest) -> str | None:
    if digest == trials.model.file:
        return "the original"
    return next((other.name for other in trials.candidates if other.model and other.model.sha256 == digest), None)


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


def evaluation_step(
    trials: Trials, subject: Subject, samples: Samples, reference: EvaluationFiles | None
) -> EvaluateModel:
    limit = trials.request.goal.max_drop if trials.request.goal else None
    assert trials.request.metric is not None, "there is no metric without data"  # noqa: S101
    return EvaluateModel(
        subject=subject,
        samples=samples,
        preprocessing=trials.request.preprocessing,
        metric=trials.request.metric,
        workload=trials.request.workload,
        reference=reference,
        confidence=limit.confidence if limit else 0.95,
        relative=limit.relative if limit else True,
    )


def evaluation_files(evaluation: Evaluation, files: dict[str, Digest]) -> EvaluationFiles:
    return EvaluationFiles(
        scores=files[evaluation.scores_file],
        outputs={name: files[file] for name, file in evaluation.outputs_files.items()},
    )


def scored(evaluation: Evaluation) -> Measurements:
    return Measurements(
        metric=evaluation.metric_value,
        samples=evaluation.samples,
        drop=evaluation.drop,
        fidelity=evaluation.fidelity,
    )
