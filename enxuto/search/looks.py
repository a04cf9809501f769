"""Which candidates are confirmed, in which order and how surely: settled before any of them is.

What is confirmed first is the best by what is asked. Where it turns out not to be proven, one that is likelier to be,
and gains less, may still be; but each further look at the same samples is a further chance to be fooled. So the order,
and what each look may spend of the chance that the goal allows to be wrong, follow from the samples that choose alone:
by Bonferroni's inequality the search as a whole is then wrong as seldom as a single look would be (record 41 in
docs/decisions).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from enxuto.goal import Goal
from enxuto.judge.chance import chance_of_proof
from enxuto.report import Candidate
from enxuto.search.choose import best, broken_constraints, candidate_cost
from enxuto.search.costs import look_s
from enxuto.search.splits import count
from enxuto.search.trial import Looked, Trials
from enxuto.search.variants import changes_results

MOST_LOOKS = 3
_SPENT = 0.8
"""Of what is left, by each look but the last one: the first one's bound is hardly wider than if it were alone."""
_SUREST = 0.95
"""No forecast is surer: speed may not hold either, and samples that chose flatter."""


@dataclass(frozen=True)
class Look:
    """At one candidate, on the samples that prove."""

    candidate: Candidate
    confidence: float
    """That its bounds are held to."""


def chosen(trials: Trials, goal: Goal, without: Collection[str] = ()) -> Candidate | None:
    """The candidate to confirm first, where there is one."""
    candidates = [each for each in trials.judged() if each.name not in without]
    return best(goal, candidates, count(trials.splits.confirmation), trials.request.margin)


def plan_looks(trials: Trials, goal: Goal, first: Candidate) -> list[Look]:
    """The first candidate, and those to fall back on while each adds to what is to be expected."""
    planned = [first]
    left = trials.meter.remaining_s
    affordable = MOST_LOOKS if left is None else int(left / look_s(trials))
    while len(planned) < min(affordable, MOST_LOOKS):
        plans = [[*planned, other] for other in _others(trials, goal, planned)]
        longer = max(plans, key=lambda plan: _expected(trials, goal, plan), default=planned)
        if _expected(trials, goal, longer) <= _expected(trials, goal, planned):
            break
        planned = longer
    return [Look(*each) for each in zip(planned, confidences(asked(goal), len(planned)), strict=True)]


def asked(goal: Goal) -> float:
    """How surely an answer is to hold."""
    return goal.max_drop.confidence if goal.max_drop else 0.95


def confidences(confidence: float, looks: int) -> list[float]:
    """What each of so many looks is held to; what they may be wrong by adds up to what one look might be.

    A confidence of one half asks for the estimate, of which no chance to be wrong is claimed.
    """
    if confidence <= 0.5:
        return [confidence] * looks
    left, found = 1 - confidence, []
    for look in range(looks):
        spent = left * (_SPENT if look < looks - 1 else 1.0)
        found.append(round(1 - spent, 12))
        left -= spent
    return found


def known_look(trials: Trials, look: Look) -> Looked | None:
    """What an earlier search saw of the candidate, held to at least as much; it is judged anew, by this goal."""
    seen = look.candidate.confirmation
    if seen is None or trials.original.confirmation is None:
        return None
    earlier = next((each for each in trials.known if each.candidate == look.candidate.name), None)
    bounds = [each.confidence for each in (seen.drop, seen.speedup) if each]
    if min(bounds, default=look.confidence) < look.confidence:
        return None
    baseline = earlier.baseline if earlier else trials.original.confirmation
    return Looked(look.candidate.name, min(bounds, default=look.confidence), baseline, trials.latest_noise)


def _others(trials: Trials, goal: Goal, planned: Sequence[Candidate]) -> list[Candidate]:
    """Those that gain, and that answer otherwise than what is to be looked at already."""
    return [
        each
        for each in trials.judged()
        if each.model
        and _gain(trials, goal, each) > math.log1p(trials.request.margin)
        and not any(_answers_alike(each, other) for other in planned)
    ]


def _answers_alike(one: Candidate, other: Candidate) -> bool:
    same_file = one.model and other.model and one.model.sha256 == other.model.sha256
    return bool(same_file) and not changes_results(one.settings, other.settings)


def _expected(trials: Trials, goal: Goal, plan: Sequence[Candidate]) -> float:
    """What a plan is expected to gain: each look's gain by the chance that it is reached and proven."""
    total, reached, likeliest = 0.0, 1.0, 0.0
    for candidate, confidence in zip(plan, confidences(asked(goal), len(plan)), strict=True):
        chance = _chance(trials, goal, candidate, confidence)
        held = _after(likeliest, chance)
        total += reached * held * _gain(trials, goal, candidate)
        reached *= 1 - held
        likeliest = max(likeliest, chance)
    return total


def _after(before: float, chance: float) -> float:
    """The chance to be proven where something with the chance ``before`` was not: samples that are unlucky for one are
    to some degree for all, and half-way between all of it and none is assumed.
    """
    return (chance + max(chance - before, 0.0) / (1 - before)) / 2 if before else chance


def _chance(trials: Trials, goal: Goal, candidate: Candidate, confidence: float) -> float:
    drop = candidate.selection.drop
    if goal.max_drop is None or drop is None:
        return _SUREST
    samples = count(trials.splits.confirmation)
    return min(chance_of_proof(drop, goal.max_drop.value, samples, confidence), _SUREST)


def _gain(trials: Trials, goal: Goal, candidate: Candidate) -> float:
    """Logarithm of how many times better than the original; one that misses a constraint is as bad as all others."""
    original = trials.original
    cost = candidate_cost(goal, candidate)
    if broken_constraints(goal, original.model.size_bytes, original.selection):
        known = [each for one in trials.judged() if (each := candidate_cost(goal, one)) < math.inf]
        worst = 2 * max(known, default=cost)
    else:
        worst = _cost_of_original(trials, goal)
    return math.log(worst / cost) if 0 < cost < math.inf and worst else 0.0


def _cost_of_original(trials: Trials, goal: Goal) -> float:
    match goal.objective:
        case "size":
            return float(trials.original.model.size_bytes)
        case "memory":
            return float(trials.original.selection.memory_bytes or 0)
        case _:
            return 1.0
