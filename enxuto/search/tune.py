"""Tries what was found so far under other run settings: each variant is a candidate like any other."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from enxuto.goal import Goal
from enxuto.recipe import recipe_name
from enxuto.report import Candidate, Measurements
from enxuto.search.choose import AT, ORIGINAL, broken_constraints, candidate_cost
from enxuto.search.costs import confirmation_reserve_s
from enxuto.search.layouts import laid_out, lay_out
from enxuto.search.plan import Reply, Task
from enxuto.search.trial import LATE, Trials
from enxuto.search.trying import evaluate, look_at
from enxuto.search.variants import (
    BASES,
    Base,
    changes_results,
    on_other_runtimes,
    propose_variants,
    variant_name,
)
from enxuto.settings import OpenVinoSettings, RunSettings

_COMPILED_ANEW = (
    "Compiled for calls of these shapes: the first of others takes as long as loading does (workload.fixed_shapes)."
)
_Settled = tuple[Candidate, RunSettings]


def try_on_other_runtimes(trials: Trials, goal: Goal, begin: float, share: float) -> Generator[Task, Reply, None]:
    """Look at every file that is left, and at the original, under the other runtimes; nothing is timed yet."""
    bases = [*trials.alive(), _original(trials)]
    recipes = [base.recipe for base in bases]
    proposed = on_other_runtimes(recipes, trials.model.inspection, goal, trials.request.workload, trials.machine)
    settled = [(bases[each.base], each.settings) for each in proposed]
    yield from _try(trials, settled, begin, share, fully=False)


def try_variants(trials: Trials, goal: Goal, begin: float, share: float) -> Generator[Task, Reply, list[str]]:
    """Score variants of the leading candidates and of the original; returns their names."""
    bases = [*leading(trials, goal), _original(trials)]
    request = trials.request
    settable = [Base(base.recipe, base.settings) for base in bases]
    proposed = propose_variants(settable, trials.model.inspection, goal, request.workload)
    settled = [(bases[each.base], each.settings) for each in proposed]
    return (yield from _try(trials, settled, begin, share, fully=True))


def try_under(
    trials: Trials, base: Candidate, settings: RunSettings, fraction: float
) -> Generator[Task, Reply, list[str]]:
    """Score one candidate under other settings; its name, where there was time."""
    return (yield from _try(trials, [(base, settings)], fraction, 0.0, fully=True))


def _try(
    trials: Trials, settled: Sequence[_Settled], begin: float, share: float, *, fully: bool
) -> Generator[Task, Reply, list[str]]:
    known = {candidate.name for candidate in trials.candidates}
    new = [each for each in settled if not known.intersection(_names(trials, *each))]
    tried: list[str] = []
    for position, (base, settings) in enumerate(new):
        if _loads_nothing(trials, settings):
            continue
        remaining_s = trials.meter.remaining_s
        if remaining_s is not None and remaining_s < _reserve_s(trials, len(tried) + 1):
            late = {"model": None, "outcome": "skipped", "reason": LATE}
            untried = [_variant(each, under, trials) for each, under in new[position:]]
            trials.candidates += [variant.model_copy(update=late) for variant in untried]
            trials.cut_short = True
            break
        fraction = begin + share * position / len(new)
        made = yield from lay_out(trials, base, settings, fraction)
        variant = _variant(made, settings, trials)
        if made is not base:  # another file, of which other things are to be known
            variant = variant.model_copy(update={"notes": [*made.notes, *variant.notes]})
        trials.candidates.append(variant)
        tried.append(variant.name)
        yield from _score(trials, variant, made, fraction, fully=fully)
    return tried


def _loads_nothing(trials: Trials, settings: RunSettings) -> bool:
    """Whether their runtime could load neither the original nor what a recipe made of it: what it lacks is in all."""
    seen = [each for each in trials.candidates if each.settings.runtime == settings.runtime]
    refused = all(each.code == "model_fails_to_load" for each in seen)
    return refused and {bool(each.recipe) for each in seen} == {True, False}


def _names(trials: Trials, base: Candidate, settings: RunSettings) -> set[str]:
    """What the candidate would be called under these settings: as it is, and laid out for their runtime."""
    recipe = laid_out(trials, base.recipe, settings.runtime)
    anew = base if recipe == base.recipe else base.model_copy(update={"name": recipe_name(recipe)})
    return {_variant(each, settings, trials).name for each in (base, anew)}


def beside_what_leads(trials: Trials, goal: Goal, new: Sequence[str]) -> list[Candidate]:
    """Those of the new candidates that are left, their files under other settings, and what leads so far: timed anew
    together, so that what is new about them is not told from loads at other times.
    """
    alive = trials.alive()
    left = [candidate for candidate in alive if candidate.name in new]
    if not left:
        return []
    files = {candidate.model.sha256 for candidate in left if candidate.model}
    known = [each for each in alive if each not in left and each.selection.speedup]
    leader = min(known, key=lambda each: candidate_cost(goal, each), default=None)
    return [each for each in known if each is leader or (each.model and each.model.sha256 in files)] + left


def leading(trials: Trials, goal: Goal) -> list[Candidate]:
    """The best of those that gain on the original, the best first, one of each kind.

    A limit on time or memory rules none out: other settings may bring them below it.
    """
    accuracy_and_size = goal.model_copy(update={"p95_ms": None, "memory_mb": None})
    to_beat = _cost(goal, _original(trials)) / (1 + trials.request.margin)
    gaining = [
        candidate
        for candidate in trials.judged()
        if candidate.model
        and candidate.recipe
        and not broken_constraints(accuracy_and_size, candidate.model.size_bytes, candidate.selection)
        and _cost(goal, candidate) < to_beat
    ]
    gaining.sort(key=lambda candidate: _cost(goal, candidate), reverse=True)
    of_each_kind = {tuple(technique.kind for technique in candidate.recipe): candidate for candidate in gaining}
    return sorted(of_each_kind.values(), key=lambda candidate: _cost(goal, candidate))[:BASES]


def _original(trials: Trials) -> Candidate:
    """The original, as if it had been tried."""
    original = trials.original
    return Candidate(
        name=ORIGINAL,
        recipe=[],
        model=original.model,
        settings=trials.usual,
        outcome="feasible",
        selection=original.selection,
    )


def _cost(goal: Goal, candidate: Candidate) -> float:
    if candidate.name == ORIGINAL and goal.objective in ("latency", "throughput"):
        return 1.0
    return candidate_cost(goal, candidate)


def _variant(base: Candidate, settings: RunSettings, trials: Trials) -> Candidate:
    return Candidate(
        name=variant_name(base.name.partition(f" {AT} ")[0], settings, trials.usual),
        recipe=base.recipe,
        model=base.model,
        settings=settings,
        outcome="feasible",
        notes=[_COMPILED_ANEW] if isinstance(settings, OpenVinoSettings) and settings.fixed_shapes else [],
    )


def _score(
    trials: Trials, variant: Candidate, base: Candidate, fraction: float, *, fully: bool
) -> Generator[Task, Reply, None]:
    """On the samples that choose; taken over from the base where settings like these cannot change a result."""
    if trials.evaluated is None:
        return
    if base.name != ORIGINAL and not changes_results(variant.settings, base.settings):
        seen = base.selection
        accuracy = Measurements(metric=seen.metric, samples=seen.samples, drop=seen.drop, fidelity=seen.fidelity)
        note = f"Its accuracy is that of {base.name}: these settings change how fast a model answers, not what."
        trials.replace(variant.model_copy(update={"selection": accuracy, "notes": [*variant.notes, note]}))
    elif fully:
        yield from evaluate(trials, variant, fraction)
    else:
        yield from look_at(trials, variant, fraction)


def _reserve_s(trials: Trials, variants: int) -> float:
    """Seconds that scoring one more, timing the variants and confirming the best will want at least."""
    return trials.spent_evaluating_s + confirmation_reserve_s(trials, to_time=variants)
