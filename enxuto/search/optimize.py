"""The plan of an ``optimize`` job: try, choose, confirm, decide."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from enxuto.fit import check_fit
from enxuto.goal import Goal
from enxuto.judge.speed import speed_verdict
from enxuto.machine import Machine
from enxuto.metric import Agreement
from enxuto.recipe import Recipe
from enxuto.report import Baseline, Candidate, Measurements, ModelRef, OptimizeReport, Replay, Verdict
from enxuto.request import OptimizeOptions
from enxuto.search.candidates import propose
from enxuto.search.choose import best, broken_constraints, pareto_front
from enxuto.search.confirm import confirm
from enxuto.search.measured import measure_memory, time_candidates, with_memory
from enxuto.search.plan import Plan, PlanFailed, Reply, Stopped, StopReason, Task, metered
from enxuto.search.resolve import resolve_optimize
from enxuto.search.splits import count, split_samples
from enxuto.search.timing import SCREENING, TUNING, Effort
from enxuto.search.trial import Trials, evaluate_original, subject_of, try_recipes
from enxuto.search.tune import beside_their_bases, try_variants
from enxuto.search.verdict import Decision, decide, decide_recipe, gain_in_words, objective_gain
from enxuto.signature import DatasetInput, ModelInput
from enxuto.steps import Estimate

Reason = StopReason | None


@dataclass(frozen=True)
class _Ending:
    decision: Decision
    candidate: Candidate | None
    """The one that the decision is about."""


def optimize(
    request: OptimizeOptions,
    model: ModelInput,
    evaluation: DatasetInput | None,
    calibration: DatasetInput | None,
    machine: Machine,
) -> Plan[OptimizeReport]:
    """Search under a goal, or apply a recipe; either way judge the outcome against the original.

    Raises:
        BadInput: the data does not fit the model, or is too little.
        PlanFailed: the original does not run, or the recipe cannot be applied.
    """
    trials = _prepare(request, model, evaluation, calibration, machine)
    stopped = None
    try:
        ending, stopped = yield from metered(_search(trials), trials.meter)
    except Stopped as stop:
        stopped = stop.reason
        ending = _interrupted_ending(trials, stop.reason)
    return _report(trials, ending, stopped, evaluation, calibration, trials.meter.spent_s)


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


def _search(trials: Trials) -> Generator[Task, Reply, tuple[_Ending, Reason]]:
    request = trials.request
    recipes = [request.recipe] if request.recipe else _proposals(trials)
    yield from evaluate_original(trials)
    hurried = yield from try_recipes(trials, recipes)
    if request.recipe:
        return (yield from _judge_recipe(trials)), None
    goal = request.goal or Goal()
    _reject(trials, goal, surely=True)
    yield from _measure(trials, goal, trials.alive(), SCREENING, 0.5, 0.16)
    names, cut_short = yield from try_variants(trials, goal)
    _reject(trials, goal, surely=True)
    if together := beside_their_bases(trials, names):
        yield from _measure(trials, goal, together, TUNING, 0.7, 0.09)
    _reject(trials, goal, surely=False)
    return (yield from _confirm_best(trials, goal)), "deadline" if hurried or cut_short else None


def _proposals(trials: Trials) -> list[Recipe]:
    goal = trials.request.goal or Goal()
    return propose(trials.model.inspection, goal, calibrated=trials.splits.calibration is not None)


def _judge_recipe(trials: Trials) -> Generator[Task, Reply, _Ending]:
    candidate = trials.candidates[0]
    if finding := trials.findings.get(candidate.name):
        raise PlanFailed(finding)
    confirmed = yield from confirm(trials, candidate)
    if finding := trials.findings.get(candidate.name):
        raise PlanFailed(finding)
    return _Ending(decide_recipe(Goal(), trials.original, confirmed, trials.conditions(confirmed)), confirmed)


def _reject(trials: Trials, goal: Goal, *, surely: bool) -> None:
    """Mark what misses a constraint on the samples that choose."""
    for candidate in trials.alive():
        size_bytes = candidate.model.size_bytes if candidate.model else 0
        if broken := broken_constraints(goal, size_bytes, candidate.selection, surely=surely):
            update = {"outcome": "infeasible", "reason": " and ".join(broken)}
            trials.replace(candidate.model_copy(update=update))


def _measure(
    trials: Trials, goal: Goal, candidates: Sequence[Candidate], effort: Effort, begin: float, share: float
) -> Generator[Task, Reply, None]:
    """Time candidates beside the original, and weigh them where the goal is about memory."""
    yield from time_candidates(trials, candidates, effort, begin, share)
    if not (goal.memory_mb or goal.objective == "memory"):
        return
    selection, fraction = trials.splits.selection, begin + share
    if trials.original.selection.memory_bytes is None:
        use = yield from measure_memory(trials, trials.baseline, selection, fraction)
        seen = with_memory(trials.original.selection, use)
        trials.original = trials.original.model_copy(update={"selection": seen})
    names = {candidate.name for candidate in candidates}
    for candidate in trials.alive():
        if candidate.name in names and candidate.selection.memory_bytes is None:
            use = yield from measure_memory(trials, subject_of(candidate), selection, fraction)
            trials.replace(candidate.model_copy(update={"selection": with_memory(candidate.selection, use)}))


def _confirm_best(trials: Trials, goal: Goal) -> Generator[Task, Reply, _Ending]:
    candidate = best(goal, trials.alive(), count(trials.splits.confirmation), trials.request.margin)
    if candidate is None:
        return _without_gain(trials, _why_none(trials, goal), sure=not trials.alive())
    if gain := _too_small_a_gain(trials, goal, candidate):
        best_seen = f"{candidate.name}, {gain_in_words(goal, gain)}"
        return _without_gain(trials, f"The original stays: no candidate brought a gain; the best was {best_seen}.")
    confirmed = yield from confirm(trials, candidate)
    if finding := trials.findings.get(candidate.name):
        why = f"{candidate.name} could not be confirmed: {finding.detail}"
        return _Ending(Decision("inconclusive", why, winner=False, unproven=False), confirmed)
    return _Ending(decide(goal, trials.original, confirmed, trials.conditions(confirmed)), confirmed)


def _too_small_a_gain(trials: Trials, goal: Goal, candidate: Candidate) -> Estimate | None:
    """What a candidate gains where that is not worth confirming; an original that misses a constraint wants any."""
    original = trials.original
    if broken_constraints(goal, original.model.size_bytes, original.selection):
        return None
    gain = objective_gain(goal, original, candidate, original.selection, candidate.selection)
    return gain if gain and speed_verdict(gain, trials.request.margin) in ("no_gain", "regressed") else None


def _without_gain(trials: Trials, why: str, *, sure: bool = True) -> _Ending:
    """That the original stays; a candidate for which there was no time might have gained."""
    untried = sum(candidate.outcome == "skipped" for candidate in trials.candidates)
    if untried:
        why = f"{why} The deadline came before {untried} more could be tried."
    verdict: Verdict = "no_gain" if sure and not untried else "inconclusive"
    return _Ending(Decision(verdict, why, winner=False, unproven=False), None)


def _why_none(trials: Trials, goal: Goal) -> str:
    if trials.alive():
        return f"The original stays: what is to be minimized, {goal.objective}, could be measured on no candidate."
    tried = [candidate for candidate in trials.candidates if candidate.outcome == "infeasible"]
    if not tried:
        if any(candidate.outcome == "duplicate" for candidate in trials.candidates):
            return "The original stays: what could be applied to this model left it as it is."
        return "The original stays: no technique could be applied to this model and run."
    nearest = min(tried, key=lambda candidate: candidate.selection.drop.value if candidate.selection.drop else 0.0)
    return f"The original stays: no candidate meets the constraints. The nearest, {nearest.name}, {nearest.reason}."


def _interrupted_ending(trials: Trials, reason: StopReason) -> _Ending:
    """The best by what was seen before the search was stopped: proven where that was done, else named as unproven."""
    goal = trials.request.goal or Goal()
    judge = decide_recipe if trials.request.recipe else decide
    for confirmed in trials.alive():
        if confirmed.confirmation and confirmed.confirmation.speedup:
            return _Ending(judge(goal, trials.original, confirmed, trials.conditions(confirmed)), confirmed)
    if not trials.request.recipe:
        _reject(trials, goal, surely=False)
    seen = [candidate for candidate in trials.alive() if candidate.selection.drop or not trials.evaluated]
    candidate = best(goal, seen, count(trials.splits.confirmation), trials.request.margin)
    ended = "The deadline came" if reason == "deadline" else "The job was cancelled"
    if candidate is None or _too_small_a_gain(trials, goal, candidate):
        why = f"{ended} before a candidate was seen to gain within the constraints."
        return _Ending(Decision("inconclusive", why, winner=False, unproven=False), None)
    why = f"{ended} before {candidate.name}, the best so far, was confirmed."
    return _Ending(Decision("inconclusive", why, winner=False, unproven=True), candidate)


def _report(
    trials: Trials,
    ending: _Ending,
    stopped: Reason,
    evaluation: DatasetInput | None,
    calibration: DatasetInput | None,
    spent_s: float,
) -> OptimizeReport:
    candidate, decision = ending.candidate, ending.decision
    roles = {"evaluation": evaluation, "calibration": calibration}
    recommended = candidate.model if decision.winner and candidate and candidate.model else trials.original.model
    return OptimizeReport(
        model=trials.original.model,
        model_name=trials.model.name,
        inspection=trials.model.inspection,
        metric=trials.request.metric,
        metric_name=trials.request.metric.title if trials.request.metric else "not measured: there was no data",
        preprocessing=trials.request.preprocessing,
        workload=trials.request.workload,
        machine=trials.machine,
        noise=trials.noise,
        margin=trials.request.margin,
        replay=Replay(
            model=trials.model.file,
            datasets={role: dataset.file for role, dataset in roles.items() if dataset},
            seed=trials.request.seed,
            enxuto=version("enxuto"),
        ),
        elapsed_s=spent_s,
        request=trials.request,
        goal=trials.request.goal,
        verdict=decision.verdict,
        why=decision.why,
        recommended=recommended,
        winner=candidate.name if decision.winner and candidate else None,
        unproven=candidate.name if decision.unproven and candidate else None,
        baseline=trials.original,
        candidates=trials.candidates,
        pareto=pareto_front(trials.original, trials.candidates, trials.request.metric, trials.request.margin),
        splits=trials.splits.counts,
        stopped=stopped,
    )
