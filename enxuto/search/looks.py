"""Which candidates are confirmed, in which order and how surely: settled before any of them is.

What is confirmed first is the best by what is asked. Where it turns out not to be proven, one that is likelier to be,
and gains less, may still be; but each further look at the same samples is a further chance to be fooled. So the order,
and what each look may spend of the chance that the goal allows to be wrong, follow from the samples that choose alone:
by Bonferroni's inequality the search as a whole is then wrong as seldom as a single look would be (record 41 in
docs/decisions).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

from enxuto.goal import Goal
from enxuto.judge.chance import chance_of_proof
from enxuto.report import Baseline, Candidate
from enxuto.search.choose import broken_constraints, candidate_cost
from enxuto.search.variants import changes_results

MOST_LOOKS = 3
_SPENT_FIRST = 0.8
"""By the first of several looks, whose bound is hardly wider then than if it were alone; the others share the rest: the
last one is the safest, and the one that an answer hangs on where no other was proven."""
_SUREST = 0.95
"""No forecast is surer: speed may not hold either, and samples that chose flatter."""


@dataclass(frozen=True)
class Look:
    """At one candidate, on the samples that prove."""

    candidate: Candidate
    confidence: float
    """That its bounds are held to."""


@dataclass(frozen=True)
class Prospects:
    """What is known before anything is looked at."""

    goal: Goal
    original: Baseline
    candidates: Sequence[Candidate]
    """That may win, by the samples that choose."""
    confirming: int
    """Samples that prove."""
    margin: float


def plan_looks(prospects: Prospects, first: Candidate, most: int = MOST_LOOKS) -> list[Look]:
    """The first candidate, and those to fall back on of which most is to be expected, each in its place."""
    others = _others(prospects, first)
    plans = [[first, *more] for count in range(most) for more in permutations(others, count) if _differ(more)]
    planned = max(plans, key=lambda plan: _expected(prospects, plan), default=[first])
    held_to = confidences(asked(prospects.goal), len(planned))
    return [Look(*each) for each in zip(planned, held_to, strict=True)]


def asked(goal: Goal) -> float:
    """How surely an answer is to hold."""
    return goal.max_drop.confidence if goal.max_drop else 0.95


def confidences(confidence: float, looks: int) -> list[float]:
    """What each of so many looks is held to; what they may be wrong by adds up to what one look might be.

    A confidence of one half asks for the estimate, of which no chance to be wrong is claimed.
    """
    if confidence <= 0.5:
        return [confidence] * looks
    if looks == 1:
        return [confidence]
    wrong = 1 - confidence
    further = (1 - _SPENT_FIRST) * wrong / (looks - 1)
    return [round(1 - spent, 12) for spent in (_SPENT_FIRST * wrong, *[further] * (looks - 1))]


def _others(prospects: Prospects, first: Candidate) -> list[Candidate]:
    """Those that gain, and that answer otherwise than the first."""
    return [
        each
        for each in prospects.candidates
        if each.model and _gain(prospects, each) > math.log1p(prospects.margin) and not _answers_alike(each, first)
    ]


def _differ(candidates: Sequence[Candidate]) -> bool:
    return not any(_answers_alike(*pair) for pair in combinations(candidates, 2))


def _answers_alike(one: Candidate, other: Candidate) -> bool:
    same_file = one.model and other.model and one.model.sha256 == other.model.sha256
    return bool(same_file) and not changes_results(one.settings, other.settings)


def _expected(prospects: Prospects, plan: Sequence[Candidate]) -> float:
    """What a plan is expected to gain: each look's gain by the chance that it is reached and proven."""
    total, reached, likeliest = 0.0, 1.0, 0.0
    for candidate, confidence in zip(plan, confidences(asked(prospects.goal), len(plan)), strict=True):
        chance = _chance(prospects, candidate, confidence)
        held = _after(likeliest, chance)
        total += reached * held * _gain(prospects, candidate)
        reached *= 1 - held
        likeliest = max(likeliest, chance)
    return total


def _after(before: float, chance: float) -> float:
    """The chance to be proven where something with the chance ``before`` was not: samples that are unlucky for one are
    to some degree for all, and half-way between all of it and none is assumed.
    """
    return (chance + max(chance - before, 0.0) / (1 - before)) / 2 if before else chance


def _chance(prospects: Prospects, candidate: Candidate, confidence: float) -> float:
    drop, limit = candidate.selection.drop, prospects.goal.max_drop
    if limit is None or drop is None:
        return _SUREST
    return min(chance_of_proof(drop, limit.value, prospects.confirming, confidence), _SUREST)


def _gain(prospects: Prospects, candidate: Candidate) -> float:
    """Logarithm of how many times better than the original; one that misses a constraint is worse than all others."""
    original, goal = prospects.original, prospects.goal
    cost = candidate_cost(goal, candidate)
    if broken_constraints(goal, original.model.size_bytes, original.selection):
        known = [each for one in prospects.candidates if (each := candidate_cost(goal, one)) < math.inf]
        worst = 2 * max(known, default=cost)
    else:
        worst = _cost_of_original(prospects)
    return math.log(worst / cost) if 0 < cost < math.inf and worst else 0.0


def _cost_of_original(prospects: Prospects) -> float:
    match prospects.goal.objective:
        case "size":
            return float(prospects.original.model.size_bytes)
        case "memory":
            return float(prospects.original.selection.memory_bytes or 0)
        case _:
            return 1.0
