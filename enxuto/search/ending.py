"""How a search ends: with the best confirmed, with the original and why, or cut off with the best so far."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

from enxuto.goal import Goal
from enxuto.judge.speed import speed_verdict
from enxuto.report import Candidate, Verdict
from enxuto.search.choose import best, broken_constraints
from enxuto.search.confirm import confirm
from enxuto.search.nearest import blocking, in_words, near_misses
from enxuto.search.plan import PlanFailed, Reply, StopReason, Task
from enxuto.search.sieve import reject
from enxuto.search.splits import count
from enxuto.search.trial import Trials
from enxuto.search.trying import make_again
from enxuto.search.verdict import Decision, decide, decide_recipe, gain_in_words, objective_gain
from enxuto.steps import Estimate


@dataclass(frozen=True)
class Ending:
    decision: Decision
    candidate: Candidate | None
    """The one that the decision is about."""


def judge_recipe(trials: Trials) -> Generator[Task, Reply, Ending]:
    """Raises PlanFailed where the recipe could not be applied or its outcome does not run."""
    candidate = trials.candidates[0]
    if finding := trials.findings.get(candidate.name):
        raise PlanFailed(finding)
    confirmed = yield from confirm(trials, candidate)
    if finding := trials.findings.get(candidate.name):
        raise PlanFailed(finding)
    return Ending(decide_recipe(Goal(), trials.original, confirmed, trials.conditions(confirmed)), confirmed)


def confirm_best(trials: Trials, goal: Goal) -> Generator[Task, Reply, Ending]:
    """What was confirmed before, of a report that this search takes its measurements from, is not confirmed again."""
    candidate = chosen(trials, goal)
    if candidate is None:
        return _without_gain(trials, _why_none(trials, goal), sure=not trials.alive())
    if gain := _too_small_a_gain(trials, goal, candidate):
        return _without_gain(trials, _why_no_gain(trials, goal, candidate, gain))
    yield from make_again(trials, [candidate])
    if trials.named(candidate.name).outcome == "failed":
        return (yield from confirm_best(trials, goal))
    confirmed = candidate if candidate.confirmation else (yield from confirm(trials, candidate))
    if finding := trials.findings.get(candidate.name):
        why = f"{candidate.name} could not be confirmed: {finding.detail}"
        return Ending(Decision("inconclusive", why, winner=False, unproven=False), confirmed)
    decision = decide(goal, trials.original, confirmed, trials.conditions(confirmed))
    if decision.verdict == "no_gain":
        verdict, why = _unless_untried(trials, decision.why)
        decision = replace(decision, verdict=verdict, why=why)
    return Ending(decision, confirmed)


def chosen(trials: Trials, goal: Goal) -> Candidate | None:
    """The candidate to confirm, where there is one."""
    return best(goal, trials.judged(), count(trials.splits.confirmation), trials.request.margin)


def _too_small_a_gain(trials: Trials, goal: Goal, candidate: Candidate) -> Estimate | None:
    """What a candidate gains where that is not worth confirming; an original that misses a constraint wants any."""
    original = trials.original
    if broken_constraints(goal, original.model.size_bytes, original.selection):
        return None
    gain = objective_gain(goal, original, candidate, original.selection, candidate.selection)
    return gain if gain and speed_verdict(gain, trials.request.margin) in ("no_gain", "regressed") else None


def _why_no_gain(trials: Trials, goal: Goal, candidate: Candidate, gain: Estimate) -> str:
    seen = f"the best was {candidate.name}, {gain_in_words(goal, gain)}"
    ran = sum(each.model is not None and each.outcome != "duplicate" for each in trials.candidates)
    lost = sum(each.outcome == "infeasible" for each in trials.candidates)
    missed = f" {lost} of them missed a constraint;" if lost else ""
    return f"The original stays: no candidate brought a gain. {ran} could be made and run;{missed} {seen}."


def _without_gain(trials: Trials, why: str, *, sure: bool = True) -> Ending:
    """That the original stays."""
    verdict, why = _unless_untried(trials, why)
    return Ending(Decision(verdict if sure else "inconclusive", why, winner=False, unproven=False), None)


def _unless_untried(trials: Trials, why: str) -> tuple[Verdict, str]:
    """That nothing gains: a candidate for which there was no time might have."""
    untried = sum(candidate.outcome == "skipped" for candidate in trials.candidates)
    if untried:
        return "inconclusive", f"{why} The deadline came before {untried} more could be tried."
    return "no_gain", why


def _why_none(trials: Trials, goal: Goal) -> str:
    if trials.alive():
        return f"The original stays: what is to be minimized, {goal.objective}, could be measured on no candidate."
    misses = near_misses(goal, trials.candidates)
    if misses:
        constraint = blocking(goal, trials.candidates)
        why = in_words(goal, misses, constraint, len(misses))
        return f"The original stays: no candidate meets the constraints. {why}"
    if any(candidate.outcome == "duplicate" for candidate in trials.candidates):
        return "The original stays: what could be applied to this model left it as it is."
    return "The original stays: no technique could be applied to this model and run."


def interrupted_ending(trials: Trials, reason: StopReason) -> Ending:
    """The best by what was seen before the search was stopped: proven where that was done, else named as unproven."""
    goal = trials.request.goal or Goal()
    judge = decide_recipe if trials.request.recipe else decide
    for confirmed in trials.alive():
        if confirmed.name == trials.confirmed and confirmed.confirmation and confirmed.confirmation.speedup:
            return Ending(judge(goal, trials.original, confirmed, trials.conditions(confirmed)), confirmed)
    if not trials.request.recipe:
        reject(trials, goal, surely=False)
    candidate = chosen(trials, goal)
    ended = "The deadline came" if reason == "deadline" else "The job was cancelled"
    if candidate is None or _too_small_a_gain(trials, goal, candidate):
        why = f"{ended} before a candidate was seen to gain within the constraints."
        return Ending(Decision("inconclusive", why, winner=False, unproven=False), None)
    why = f"{ended} before {candidate.name}, the best so far, was confirmed."
    return Ending(Decision("inconclusive", why, winner=False, unproven=True), candidate)
