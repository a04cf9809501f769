"""The plan of an ``optimize`` job: try, choose, confirm, decide, explain."""

from __future__ import annotations

from collections.abc import Generator

from enxuto.fit import check_fit
from enxuto.goal import Goal
from enxuto.machine import Machine
from enxuto.metric import Agreement
from enxuto.report import Baseline, Measurements, ModelRef, OptimizeReport
from enxuto.request import OptimizeOptions
from enxuto.search.answer import report
from enxuto.search.ending import Ending, confirm_best, interrupted_ending, judge_recipe
from enxuto.search.explaining import explain
from enxuto.search.groundwork import calibrate, evaluate_original, examine_data
from enxuto.search.halving import look_at_new, look_at_rejected, look_at_speed, look_closer
from enxuto.search.mixing import mix
from enxuto.search.plan import Plan, Reply, Stopped, StopReason, Task, metered
from enxuto.search.portable import hold_on_processors
from enxuto.search.proposing import recipes_for
from enxuto.search.resolve import resolve_optimize
from enxuto.search.sieve import reject, set_aside_siblings
from enxuto.search.splits import split_samples
from enxuto.search.trial import Trials
from enxuto.search.trying import try_recipes
from enxuto.search.tune import try_on_other_runtimes, try_variants
from enxuto.search.what_if import fill_in, require_same_conditions, take_over
from enxuto.signature import DatasetInput, ModelInput


def optimize(
    request: OptimizeOptions,
    model: ModelInput,
    evaluation: DatasetInput | None,
    calibration: DatasetInput | None,
    machine: Machine,
    earlier: OptimizeReport | None = None,
) -> Plan[OptimizeReport]:
    """Search under a goal, or apply a recipe; either way judge the outcome against the original.

    With an ``earlier`` report of the same model, data and conditions, another goal is answered from what it measured.

    Raises:
        BadInput: the data does not fit the model, or is too little; the earlier report is about something else.
        PlanFailed: the original does not run, or the recipe cannot be applied.
    """
    trials = _prepare(request, model, evaluation, calibration, machine)
    if earlier:
        roles = {"evaluation": evaluation, "calibration": calibration}
        require_same_conditions(trials.request, model, roles, machine, earlier)
        take_over(trials, earlier)
    ending, stopped = yield from _decide(trials)
    if stopped is None:
        stopped = yield from _explain(trials, ending)
    return report(trials, ending, stopped, evaluation, calibration)


def _decide(trials: Trials) -> Generator[Task, Reply, tuple[Ending, StopReason | None]]:
    try:
        ending = yield from metered(_answer(trials), trials.meter)
    except Stopped as stop:
        return interrupted_ending(trials, stop.reason), stop.reason
    return ending, "deadline" if trials.cut_short else None


def _explain(trials: Trials, ending: Ending) -> Generator[Task, Reply, StopReason | None]:
    """A deadline that comes now ended nothing that anybody waits for."""
    if trials.request.goal is None:
        return None
    named = ending.candidate if ending.decision.winner or ending.decision.unproven else None
    try:
        yield from metered(explain(trials, trials.request.goal, named), trials.meter)
    except Stopped as stop:
        return stop.reason if stop.reason == "cancelled" else None
    return None


def _prepare(
    request: OptimizeOptions,
    model: ModelInput,
    evaluation: DatasetInput | None,
    calibration: DatasetInput | None,
    machine: Machine,
) -> Trials:
    if calibration:
        check_fit(model.inspection, calibration.inspection, request.preprocessing, Agreement())
    reference = ModelRef(sha256=model.file, size_bytes=model.inspection.size_bytes)
    return Trials(
        request=resolve_optimize(request, model, evaluation),
        model=model,
        splits=split_samples(evaluation, calibration, request.seed),
        machine=machine,
        original=Baseline(model=reference, selection=Measurements()),
    )


def _answer(trials: Trials) -> Generator[Task, Reply, Ending]:
    if trials.request.recipe:
        return (yield from _apply_recipe(trials))
    goal = trials.request.goal or Goal()
    if trials.earlier:
        yield from fill_in(trials, goal, 0.1, 0.5)
        new: list[str] = []
    else:
        yield from _search(trials, goal)
        new = yield from try_variants(trials, goal, 0.64, 0.02)
    new += yield from mix(trials, goal, 0.66, 0.08)
    yield from look_at_new(trials, goal, new, 0.74, 0.06)
    reject(trials, goal, surely=False)
    yield from hold_on_processors(trials, goal)
    yield from look_at_rejected(trials, goal, 0.8)
    return (yield from confirm_best(trials, goal))


def _search(trials: Trials, goal: Goal) -> Generator[Task, Reply, None]:
    """Try recipes and settings, cheaply at first."""
    recipes = recipes_for(trials, goal)
    yield from evaluate_original(trials)
    yield from examine_data(trials)
    yield from calibrate(trials, recipes)
    yield from try_recipes(trials, recipes)
    reject(trials, goal, surely=True)
    set_aside_siblings(trials, goal)
    yield from try_on_other_runtimes(trials, goal, 0.44, 0.1)
    reject(trials, goal, surely=True)
    yield from look_at_speed(trials, goal, 0.54, 0.06)
    yield from look_closer(trials, goal, 0.6, 0.04)


def _apply_recipe(trials: Trials) -> Generator[Task, Reply, Ending]:
    recipes = [trials.request.recipe] if trials.request.recipe else []
    yield from evaluate_original(trials)
    if trials.splits.calibration is None:
        yield from calibrate(trials, recipes)
    yield from try_recipes(trials, recipes)
    return (yield from judge_recipe(trials))
