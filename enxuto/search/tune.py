"""Tries what was found so far under other run settings: each variant is a candidate like any other."""

from __future__ import annotations

from collections.abc import Generator

from enxuto.goal import Goal
from enxuto.report import Candidate, Measurements
from enxuto.search.choose import ORIGINAL, broken_constraints, cost, is_base
from enxuto.search.plan import Reply, Task, found
from enxuto.search.trial import Trials, confirmation_reserve_s, evaluation_step, failed, scored, subject_of
from enxuto.search.variants import BASES, changes_results, propose_variants, variant_name
from enxuto.settings import RunSettings
from enxuto.steps import Evaluation, Failed

_BEGIN, _SHARE = 0.66, 0.04
"""Of the progress of a search."""


def try_variants(trials: Trials, goal: Goal) -> Generator[Task, Reply, tuple[list[str], bool]]:
    """Score variants of the leading candidates and of the original.

    Returns their names, and whether the deadline left some untried.
    """
    bases = [*leading(trials, goal), _original(trials)]
    request = trials.request
    recipes = [base.recipe for base in bases]
    proposed = propose_variants(recipes, trials.model.inspection, goal, request.workload, trials.machine)
    variants = [_variant(bases[each.base], each.settings, trials) for each in proposed]
    tried: list[str] = []
    for position, (each, variant) in enumerate(zip(proposed, variants, strict=True)):
        remaining_s = trials.meter.remaining_s
        if remaining_s is not None and remaining_s < _reserve_s(trials, len(tried) + 1):
            update = {"model": None, "outcome": "skipped", "reason": "the deadline came first"}
            trials.candidates += [untried.model_copy(update=update) for untried in variants[position:]]
            return tried, True
        trials.candidates.append(variant)
        tried.append(variant.name)
        yield from _score(trials, variant, bases[each.base], _BEGIN + _SHARE * position / len(variants))
    return tried, False


def beside_their_bases(trials: Trials, variants: list[str]) -> list[Candidate]:
    """The variants that are left, and what they are variants of: timed anew together, so that what settings bring is
    not told from loads at other times.
    """
    left = [candidate for candidate in trials.alive() if candidate.name in variants]
    return [each for each in trials.alive() if any(is_base(each, variant) for variant in left)] + left


def leading(trials: Trials, goal: Goal) -> list[Candidate]:
    """The best of those that gain on the original, the best first, one of each kind.

    A limit on time or memory rules none out: other settings may bring them below it.
    """
    accuracy_and_size = goal.model_copy(update={"p95_ms": None, "memory_mb": None})
    to_beat = _cost(goal, _original(trials)) / (1 + trials.request.margin)
    gaining = [
        candidate
        for candidate in trials.alive()
        if candidate.model
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
    return cost(goal, candidate.model.size_bytes if candidate.model else 0, candidate.selection)


def _variant(base: Candidate, settings: RunSettings, trials: Trials) -> Candidate:
    return Candidate(
        name=variant_name(base.name, settings, trials.usual),
        recipe=base.recipe,
        model=base.model,
        settings=settings,
        outcome="feasible",
    )


def _score(trials: Trials, variant: Candidate, base: Candidate, fraction: float) -> Generator[Task, Reply, None]:
    """On the samples that choose; taken over from the base where settings like these cannot change a result."""
    if trials.evaluated is None or trials.splits.selection is None:
        return
    if base.name != ORIGINAL and not changes_results(variant.settings, base.settings):
        seen = base.selection
        accuracy = Measurements(metric=seen.metric, samples=seen.samples, drop=seen.drop, fidelity=seen.fidelity)
        note = f"Its accuracy is that of {base.name}: these settings change how fast a model answers, not what."
        trials.replace(variant.model_copy(update={"selection": accuracy, "notes": [note]}))
        return
    step = evaluation_step(trials, subject_of(variant), trials.splits.selection, trials.evaluated)
    reply = yield Task(step, trials.progress("tune", f"evaluating {variant.name}", fraction))
    if isinstance(reply.outcome, Failed):
        trials.replace(failed(trials, variant, reply.outcome.finding))
    else:
        selection = scored(found(reply.outcome, Evaluation))
        trials.replace(variant.model_copy(update={"selection": selection}))


def _reserve_s(trials: Trials, variants: int) -> float:
    """Seconds that scoring one more, timing the variants and confirming the best will want at least."""
    return trials.spent_evaluating_s + confirmation_reserve_s(trials, to_time=variants)
