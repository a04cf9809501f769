"""Which candidates are confirmed, in which order and how surely: settled before any of them is.

What is confirmed first is the best by what is asked. Where it turns out not to be proven, one that is likelier to be,
and gains less, may still be; but each further look at the same samples is a further chance to be fooled. So the order,
and what each look may spend of the chance that the goal allows to be wrong, follow from the samples that choose alone:
by Bonferroni's inequality the search as a whole is then wrong as seldom as a single look would be (record 41 in
docs/decisions).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations, permutations

from enxuto.goal import Goal
from enxuto.judge.chance import chance_of_proof
from enxuto.recipe import recipe_name
from enxuto.report import Baseline, Candidate
from enxuto.search.choose import broken_constraints, candidate_cost
from enxuto.search.variants import changes_results
from enxuto.search.verdict import objective_gain
from enxuto.techniques import StaticInt8

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

    @cached_property
    def worst_cost(self) -> float | None:
        """Of an original that misses a constraint: it is worse than any candidate. None where it meets them all."""
        if not broken_constraints(self.goal, self.original.model.size_bytes, self.original.selection):
            return None
        costs = (candidate_cost(self.goal, each) for each in self.candidates)
        return 2 * max((cost for cost in costs if cost < math.inf), default=0.0)


@dataclass(frozen=True)
class _Forecast:
    """What is expected of a look at a candidate: worked out once, though it stands in thousands of plans."""

    candidate: Candidate
    gain: float
    chances: dict[float, float]
    """To be proven, by the confidence that it is held to."""
    losses: str
    """The same of candidates that lose the same samples, or the fewer of them."""


def plan_looks(prospects: Prospects, first: Candidate, most: int = MOST_LOOKS) -> list[Look]:
    """The first candidate, and those to fall back on of which most is to be expected, each in its place."""
    held_to = [confidences(asked(prospects.goal), looks) for looks in range(1, max(most, 1) + 1)]
    levels = set(chain.from_iterable(held_to))
    begin, *others = (_forecast(prospects, each, levels) for each in [first, *_others(prospects, first)])
    plans = [[begin, *more] for count in range(len(held_to)) for more in permutations(others, count) if _differ(more)]
    planned = max(plans, key=lambda plan: _expected(plan, held_to[len(plan) - 1]))
    return [Look(*each) for each in zip((each.candidate for each in planned), held_to[len(planned) - 1], strict=True)]


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


def _differ(plan: Sequence[_Forecast]) -> bool:
    return not any(_answers_alike(one.candidate, other.candidate) for one, other in combinations(plan, 2))


def _answers_alike(one: Candidate, other: Candidate) -> bool:
    same_file = one.model and other.model and one.model.sha256 == other.model.sha256
    return bool(same_file) and not changes_results(one.settings, other.settings)


def _forecast(prospects: Prospects, candidate: Candidate, levels: Iterable[float]) -> _Forecast:
    chances = {confidence: _chance(prospects, candidate, confidence) for confidence in levels}
    losses = _losses(candidate) if prospects.goal.max_drop else candidate.name
    return _Forecast(candidate, _gain(prospects, candidate), chances, losses)


def _losses(candidate: Candidate) -> str:
    """By the recipe, whatever runtime its integers are laid out for and run by."""
    recipe = [
        technique.model_copy(update={"layout": "onnxruntime"}) if isinstance(technique, StaticInt8) else technique
        for technique in candidate.recipe
    ]
    return recipe_name(recipe)


def _expected(plan: Sequence[_Forecast], held_to: Sequence[float]) -> float:
    """What a plan is expected to gain: each look's gain by the chance that it is reached and proven."""
    total, reached, likeliest, failed = 0.0, 1.0, 0.0, set[str]()
    for look, confidence in zip(plan, held_to, strict=True):
        chance = look.chances[confidence]
        held = _after(likeliest, chance, alike=look.losses in failed)
        failed.add(look.losses)
        total += reached * held * look.gain
        reached *= 1 - held
        likeliest = max(likeliest, chance)
    return total


def _after(before: float, chance: float, *, alike: bool) -> float:
    """The chance to be proven where something with the chance ``before`` was not: samples that are unlucky for one are
    to some degree for all, and half-way between all of it and none is assumed; for those of one recipe, all of it.
    """
    rest = max(chance - before, 0.0) / (1 - before)
    return rest if alike else (chance + rest) / 2


def _chance(prospects: Prospects, candidate: Candidate, confidence: float) -> float:
    drop, limit = candidate.selection.drop, prospects.goal.max_drop
    if limit is None or drop is None:
        return _SUREST
    return min(chance_of_proof(drop, limit.value, prospects.confirming, confidence), _SUREST)


def _gain(prospects: Prospects, candidate: Candidate) -> float:
    """Logarithm of how many times better than the original; one that misses a constraint is worse than all others."""
    goal, original = prospects.goal, prospects.original
    if prospects.worst_cost is not None:
        cost = candidate_cost(goal, candidate)
        return math.log(prospects.worst_cost / cost) if cost < math.inf else 0.0
    gain = objective_gain(goal, original, candidate, original.selection, candidate.selection)
    return math.log(gain.value) if gain else 0.0
