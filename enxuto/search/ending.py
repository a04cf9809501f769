"""How a search ends: with the best confirmed, with the original and why, or cut off with the best so far."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

from enxuto.goal import Goal
from enxuto.judge.speed import speed_verdict
from enxuto.report import Candidate, Verdict
from enxuto.search.choose import broken_constraints
from enxuto.search.confirm import confirm
from enxuto.search.costs import look_s
from enxuto.search.looking import chosen, known_look, settled_looks
from enxuto.search.looks import Look, asked
from enxuto.search.nearest import blocking, in_words, near_misses
from enxuto.search.plan import PlanFailed, Reply, StopReason, Task
from enxuto.search.portable import holds_where_asked
from enxuto.search.sieve import reject
from enxuto.search.trial import Looked, Trials
from enxuto.search.trying import make_again
from enxuto.search.verdict import Decision, counts_as_equal, decide, decide_recipe, gain_in_words, objective_gain
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
    confirmed = yield from confirm(trials, Look(candidate, asked(Goal())))
    if finding := trials.findings.get(candidate.name):
        raise PlanFailed(finding)
    return Ending(_judged(trials, Goal(), trials.looks[-1]), confirmed)


def confirm_best(trials: Trials, goal: Goal) -> Generator[Task, Reply, Ending]:
    """Confirm the best; where it is not proven, those that were settled before to fall back on."""
    candidate = chosen(trials, goal)
    if candidate is None:
        return _without_gain(trials, _why_none(trials, goal), sure=not trials.alive())
    if gain := _too_small_a_gain(trials, goal, candidate):
        return _without_gain(trials, _why_no_gain(trials, goal, candidate, gain))
    yield from make_again(trials, [candidate])
    if trials.named(candidate.name).outcome == "failed":
        return (yield from confirm_best(trials, goal))
    for look in settled_looks(trials, goal, candidate):
        if trials.looks and not (yield from _is_worth_it(trials, look)):
            continue
        decision = yield from _look(trials, goal, look)
        if decision.winner:
            return _ending(trials, goal)
    return _ending(trials, goal)


def _is_worth_it(trials: Trials, look: Look) -> Generator[Task, Reply, bool]:
    """Whether a further look can be afforded, and its candidate could be delivered."""
    left, candidate = trials.meter.remaining_s, look.candidate
    if left is not None and left < look_s(trials):
        trials.cut_short = True
        return False
    yield from make_again(trials, [candidate])
    if trials.named(candidate.name).outcome == "failed":
        return False
    return (yield from holds_where_asked(trials, candidate))


def _look(trials: Trials, goal: Goal, look: Look) -> Generator[Task, Reply, Decision]:
    """What was confirmed before as surely, of a report that this search takes its measurements from, is taken over."""
    candidate = look.candidate
    if known := known_look(trials, look):
        trials.looks.append(known)
    else:
        yield from confirm(trials, look)
    if finding := trials.findings.get(candidate.name):
        why = f"{candidate.name} could not be confirmed: {finding.detail}"
        trials.looks[-1].decision = Decision("inconclusive", why, winner=False, unproven=False)
    return _judged(trials, goal, trials.looks[-1])


def _judged(trials: Trials, goal: Goal, looked: Looked) -> Decision:
    """What follows from a look."""
    if looked.decision is None:
        judge = decide_recipe if trials.request.recipe else decide
        candidate = trials.named(looked.candidate)
        beside = trials.original.model_copy(update={"confirmation": looked.baseline})
        looked.decision = judge(goal, beside, candidate, trials.conditions(candidate, looked.noise))
    return looked.decision


def _ending(trials: Trials, goal: Goal) -> Ending:
    """What follows from all looks: the one that is proven, else the first that may be as good as it looks."""
    looks = [(looked, _judged(trials, goal, looked)) for looked in trials.looks]
    about, decision = next(
        (each for each in looks if each[1].winner), next((each for each in looks if each[1].unproven), looks[0])
    )
    others = [other for looked, other in looks if looked is not about]
    why = " ".join([decision.why, *_told(decision, others)])
    verdict = decision.verdict
    if not decision.winner and any(other.verdict != "no_gain" for other in others):
        verdict = "inconclusive"
    if verdict == "no_gain":
        verdict, why = _unless_untried(trials, why)
    trials.original = trials.original.model_copy(update={"confirmation": about.baseline})
    return Ending(replace(decision, verdict=verdict, why=why), trials.named(about.candidate))


def _told(decision: Decision, others: list[Decision]) -> list[str]:
    """What became of the other candidates that were looked at."""
    if not others:
        return []
    begin = "Looked at before it:" if decision.winner else "Looked at besides:"
    return [begin, *(other.about or other.why for other in others)]


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
    equal = counts_as_equal(gain, trials.request.margin)
    return f"The original stays: no candidate brought a gain. {ran} could be made and run;{missed} {seen}{equal}."


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
        original = broken_constraints(goal, trials.original.model.size_bytes, trials.original.selection)
        which = "neither it nor any candidate" if original else "no candidate"
        return f"The original stays: {which} meets the constraints. {why}"
    if any(candidate.outcome == "duplicate" for candidate in trials.candidates):
        return "The original stays: what could be applied to this model left it as it is."
    return "The original stays: no technique could be applied to this model and run."


def interrupted_ending(trials: Trials, reason: StopReason) -> Ending:
    """The best by what was seen before the search was stopped: proven where that was done, else named as unproven."""
    goal = trials.request.goal or Goal()
    if trials.looks and _is_timed(trials, trials.looks[-1]) and _judged(trials, goal, trials.looks[-1]).winner:
        return _ending(trials, goal)
    if not trials.request.recipe:
        reject(trials, goal, surely=False)
    trials.looks = [looked for looked in trials.looks if looked.decision]
    ended = "The deadline came" if reason == "deadline" else "The job was cancelled"
    if any(looked.decision and looked.decision.unproven for looked in trials.looks):
        ending = _ending(trials, goal)
        why = f"{ending.decision.why} {ended} before anything else was proven."
        return replace(ending, decision=replace(ending.decision, verdict="inconclusive", why=why))
    refuted = [looked.candidate for looked in trials.looks]
    candidate = chosen(trials, goal, without=refuted)
    if candidate is None or _too_small_a_gain(trials, goal, candidate):
        why = f"{ended} before a candidate was seen to gain within the constraints."
        return Ending(Decision("inconclusive", why, winner=False, unproven=False), None)
    why = f"{ended} before {candidate.name}, the best so far, was confirmed."
    return Ending(Decision("inconclusive", why, winner=False, unproven=True), candidate)


def _is_timed(trials: Trials, looked: Looked) -> bool:
    seen = trials.named(looked.candidate).confirmation
    return seen is not None and seen.speedup is not None
