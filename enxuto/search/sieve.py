"""Sorts out what was tried: what misses a constraint or is ruined, and what others were seen to be better than."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from enxuto.goal import Goal, MaxDrop
from enxuto.recipe import TriedRecipe
from enxuto.report import Candidate, Measurements
from enxuto.search.choose import broken_constraints, candidate_cost, sqnr_db
from enxuto.search.nearest import is_unknown
from enxuto.search.trial import Trials
from enxuto.techniques import WeightOnly
from enxuto.words import size

RUINED_DB = 5.0
"""Below this the noise at the outputs is more than half as strong as they are."""
_ANY_LOSS = MaxDrop(value=0.5)
"""Where any loss is allowed: a model that lost a half of its metric and whose outputs are noise is none."""
_SAME_GRAPH = frozenset({"calibration", "percentile", "rounding", "bias_correction", "equalization", "alpha", "method"})
"""Fields of techniques that decide numbers in a file and nothing that takes time."""
_SAME_NODES = frozenset({"cross_layer_equalization"})
"""Techniques that change weights alone."""
FEWEST_KEPT, MOST_KEPT = 4, 7
_ASIDE = "Set aside"
"""How each reason begins that others were preferred to a candidate."""


def reject(trials: Trials, goal: Goal, *, surely: bool) -> None:
    """Mark what misses a constraint, or is ruined, on the samples that choose."""
    for candidate in trials.alive():
        if broken := _broken(goal, candidate, surely=surely):
            update = {"outcome": "infeasible", "reason": " and ".join(broken)}
            trials.replace(candidate.model_copy(update=update))


def _broken(goal: Goal, candidate: Candidate, *, surely: bool) -> list[str]:
    size_bytes = candidate.model.size_bytes if candidate.model else 0
    broken = broken_constraints(goal, size_bytes, candidate.selection, surely=surely)
    ruin = None if broken else _ruin(goal, candidate.selection)
    return [ruin] if ruin else broken


def _ruin(goal: Goal, seen: Measurements) -> str | None:
    """What shows that a model is ruined, where few samples leave the bound of its drop too wide to tell."""
    limit = goal.max_drop or _ANY_LOSS
    ratio_db = seen.fidelity.sqnr_db if seen.fidelity else None
    if ratio_db is None or ratio_db >= RUINED_DB or seen.drop is None or seen.drop.value <= limit.value:
        return None
    return f"is ruined: signal over noise at its outputs is {ratio_db:.1f} dB on {seen.samples:,} samples"


def set_aside_siblings(trials: Trials, goal: Goal) -> None:
    """Of candidates that differ in nothing that takes time, the most faithful goes on."""
    siblings: dict[tuple[str, ...], list[Candidate]] = defaultdict(list)
    for candidate in trials.alive():
        siblings[_graph(candidate.recipe, candidate)].append(candidate)
    for group in siblings.values():
        leader, *others = sorted(group, key=lambda each: _unfaithful(goal, each))
        for other in others:
            trials.aside[other.name] = (
                f"{_ASIDE}: it differs from {leader.name} in numbers alone, and answers less like the original."
            )


def _graph(recipe: TriedRecipe, candidate: Candidate) -> tuple[str, ...]:
    """The same for recipes whose outcomes take the same time. Zero points, which HQQ finds, are bytes and work more."""
    techniques = [each for each in recipe if each.kind not in _SAME_NODES]
    parts = [each.model_dump_json(exclude=set(_SAME_GRAPH)) for each in techniques]
    zero_points = str([isinstance(each, WeightOnly) and each.method == "hqq" for each in techniques])
    return (*parts, zero_points, candidate.settings.model_dump_json())


def _unfaithful(goal: Goal, candidate: Candidate) -> tuple[bool, float]:
    """The smallest is the most faithful: the noise at the outputs tells far more surely than the metric."""
    drop = candidate.selection.drop
    return bool(goal.max_drop and drop and drop.value > goal.max_drop.value), -sqnr_db(candidate)


def set_aside_worse(trials: Trials, goal: Goal) -> None:
    """Keep the better half by what is to be minimized, and the most faithful of those that gain at all."""
    ranked = sorted(trials.alive(), key=lambda each: candidate_cost(goal, each))
    wanted = min(max(FEWEST_KEPT, (len(ranked) + 1) // 2), MOST_KEPT)
    kept = {each.name for each in ranked[:wanted]}
    gaining = [each for each in ranked if _gains(trials, goal, each)]
    if gaining:
        kept.add(max(gaining, key=sqnr_db).name)
    why = f"{_ASIDE} after a first look, in which {_standing(goal, ranked[0])}."
    trials.aside.update({each.name: why for each in ranked if each.name not in kept})


def _gains(trials: Trials, goal: Goal, candidate: Candidate) -> bool:
    original = float(trials.original.model.size_bytes) if goal.objective == "size" else 1.0
    return candidate_cost(goal, candidate) * (1 + trials.request.margin) < original


def _standing(goal: Goal, best: Candidate) -> str:
    """One sentence for all that were worse, so that it is told once; how each stood is among its measurements."""
    if goal.objective == "size" and best.model:
        return f"{best.name} had {size(best.model.size_bytes)}"
    if best.selection.speedup:
        return f"{best.name} was {best.selection.speedup.value:.2f}× as fast as the original"
    return f"{best.name} was better"


def bring_back(trials: Trials, goal: Goal) -> list[str]:
    """Return the best of what was set aside, where nothing that was kept is left; their names."""
    waiting = [each for each in trials.candidates if each.name in trials.aside and each.outcome == "feasible"]
    back = sorted(waiting, key=lambda each: candidate_cost(goal, each))[:FEWEST_KEPT]
    for candidate in back:
        del trials.aside[candidate.name]
    return [candidate.name for candidate in back]


def settle(trials: Trials) -> None:
    """Say of what was set aside why, at the end: skipped where not all was seen of it that others are told by, and held
    to the constraints as the others are where it was.
    """
    goal = trials.request.goal or Goal()
    for candidate in _still_aside(trials):
        why = trials.aside[candidate.name]
        if not trials.is_judged(candidate) or is_unknown(goal, candidate):
            trials.skip(candidate, why)
            continue
        broken = _broken(goal, candidate, surely=False)
        update = {"outcome": "infeasible", "reason": " and ".join(broken)} if broken else {}
        trials.replace(candidate.model_copy(update={**update, "notes": [*candidate.notes, why]}))


def taken_back(candidate: Candidate) -> Candidate:
    """Without the reason that others were preferred to it: that was for another goal."""
    notes = [note for note in candidate.notes if not note.startswith(_ASIDE)]
    return candidate.model_copy(update={"notes": notes})


def _still_aside(trials: Trials) -> Iterable[Candidate]:
    return [each for each in trials.candidates if each.name in trials.aside and each.outcome == "feasible"]
