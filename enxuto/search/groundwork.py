"""What all candidates share, done once: the original's evaluation, its calibration, and a look at the data."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from enxuto.errors import Finding
from enxuto.goal import MaxDrop
from enxuto.recipe import Recipe
from enxuto.search.costs import affords
from enxuto.search.evaluating import evaluation_files, evaluation_step, scored, with_accuracy
from enxuto.search.parts import first
from enxuto.search.plan import PlanFailed, Reply, Task, found
from enxuto.search.splits import count
from enxuto.search.trial import Trials
from enxuto.steps import (
    Calibrated,
    CalibrateModel,
    DataHealth,
    Evaluation,
    ExamineData,
    Failed,
    Samples,
)

_FEW = 48
"""Samples of a first look: enough to tell a ruined model from a good one."""
_CHEAP_S = 2.0
"""An evaluation that takes no longer is not worth a first look: most of it is the process that it starts."""
_EXAMINING_S = 10.0
"""What must be left beyond everything else for the data to be looked at."""


def evaluate_original(trials: Trials) -> Generator[Task, Reply, None]:
    """Score the original on the samples that choose, and keep its outputs for the others to be compared with."""
    if trials.splits.selection is None or trials.request.metric is None:
        return
    evaluation, files, elapsed_s = yield from _evaluate(trials, trials.splits.selection, "evaluating the original")
    _require_something_to_lose(trials, evaluation)
    trials.evaluated = evaluation_files(evaluation, files)
    trials.spent_evaluating_s = elapsed_s
    trials.original = trials.original.model_copy(
        update={"selection": with_accuracy(trials.original.selection, scored(evaluation))}
    )
    few = first(trials.splits.selection, _FEW)
    if elapsed_s > _CHEAP_S and 2 * count(few) <= count(trials.splits.selection) and not trials.request.recipe:
        evaluation, files, few_s = yield from _evaluate(trials, few, "evaluating the original on a few samples")
        if few_s > elapsed_s / 2:  # it is not the samples that take long
            return
        trials.few, trials.looked_at = few, evaluation_files(evaluation, files)


def _evaluate(
    trials: Trials, samples: Samples, message: str
) -> Generator[Task, Reply, tuple[Evaluation, dict[str, str], float]]:
    step = evaluation_step(trials, trials.baseline, samples, None)
    reply = yield Task(step, trials.progress("evaluate", message, 0.02))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    return found(reply.outcome, Evaluation), reply.outcome.files, reply.outcome.elapsed_s


def _require_something_to_lose(trials: Trials, evaluation: Evaluation) -> None:
    limit = trials.request.goal.max_drop if trials.request.goal else MaxDrop()
    if limit and limit.relative and evaluation.metric_value <= 0 and evaluation.samples:
        raise PlanFailed(
            Finding(
                code="metric_is_zero",
                detail=f"The original's metric is {evaluation.metric_value:g} on {evaluation.samples:,} samples: no "
                "drop can be a share of it.",
                hint="Check that the labels belong to this model, or ask for an absolute drop (relative: false).",
            )
        )


def examine_data(trials: Trials) -> Generator[Task, Reply, None]:
    """Look for what is wrong with the data; that this fails is no reason for a search to fail."""
    if not affords(trials, _EXAMINING_S):
        return
    step = ExamineData(
        inputs=trials.model.inspection.inputs,
        calibration=trials.splits.calibration,
        evaluation=trials.splits.selection,
        preprocessing=trials.request.preprocessing,
        metric=trials.request.metric,
        scores=trials.evaluated.scores if trials.evaluated else None,
    )
    reply = yield Task(step, trials.progress("examine", "looking for what is wrong with the data", 0.02))
    if not isinstance(reply.outcome, Failed):
        trials.health = found(reply.outcome, DataHealth)


def calibrate(trials: Trials, recipes: Sequence[Recipe]) -> Generator[Task, Reply, None]:
    """See once what every candidate that chooses ranges rests on; where that fails, each sees for itself."""
    if not any(recipe[0].needs_calibration for recipe in recipes):
        return
    step = CalibrateModel(
        model=trials.model.file,
        samples=trials.splits.calibration,
        preprocessing=trials.request.preprocessing,
        workload=trials.request.workload,
        seed=trials.request.seed,
    )
    reply = yield Task(step, trials.progress("calibrate", "seeing what values flow through the original", 0.03))
    if not isinstance(reply.outcome, Failed):
        calibrated = found(reply.outcome, Calibrated)
        trials.statistics = reply.outcome.files[calibrated.file]
        trials.random_ranges = calibrated.random
