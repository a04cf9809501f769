"""Mixed precision within a search: scores the layers of what leads among integers, and tries what they say to keep.

Layers are kept in floating point; where the smallest file is asked for, weights of four bits are mixed with some of
eight, which cost a fraction of the bytes and next to no accuracy. Proposals of ``enxuto.search.mixed`` are predictions:
each becomes a candidate that is evaluated and timed as any other.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from enxuto.goal import Goal
from enxuto.recipe import Recipe, recipe_name
from enxuto.report import Candidate
from enxuto.search.choose import candidate_cost, wants_time
from enxuto.search.costs import affords, call_s, pace
from enxuto.search.layer_times import layer_scores
from enxuto.search.layouts import in_usual_layout
from enxuto.search.mixed import predicted_time_us, solve_mixed
from enxuto.search.parts import first
from enxuto.search.plan import Reply, Task, found
from enxuto.search.trial import Trials, subject_of
from enxuto.search.trying import try_recipe
from enxuto.search.tune import try_under
from enxuto.steps import Failed, MeasureSensitivity, ModelProfile, ProfileModel, Sensitivity, Subject
from enxuto.techniques import DynamicInt8, StaticInt8, WeightOnly

_SAMPLES = 32
_PROFILE_S = 1.0
_LOOKING_S = 20.0
"""What scoring the layers of a small model, and trying what they say, takes; about."""
_RUNS_TO_SCORE = 40
"""Of the original over the samples, about, until its layers are scored."""
_MOST_FOR_TIME, _MOST_FOR_ACCURACY = 1, 3
_WITHIN = 1.2
"""Times the best of the others: layers in floating point seldom bring more."""
_WORTH_TRYING = 0.01
"""Share of the time that a mixture must be predicted to save. Less than the margin: what borders cost is a guess."""
_FAITHFUL_SHARE = 0.5
"""Of the limit on what may be lost: below it nothing is to be bought back."""
_NEAR = 4.0
"""Times the limit on what may be lost, within which a few layers may be to blame: the smallest file is mended."""
_EIGHT = WeightOnly(bits=8, kernel="standard")
"""What layers take that lose too much in four bits: one scale an output channel is the smallest form."""


def mix(trials: Trials, goal: Goal, begin: float, share: float) -> Generator[Task, Reply, list[str]]:
    """Try what keeps layers of the leading integer candidate in floating point; names of what came of it."""
    base = _leading_in_four_bits(trials, goal) or leading_integers(trials, goal)
    if base is None or trials.splits.selection is None or not _could_win(trials, goal, base):
        return []
    lossy, timed = _loses(goal, base), wants_time(goal)
    scoring_s = _RUNS_TO_SCORE * _SAMPLES * call_s(trials)
    if not (lossy or timed) or not affords(trials, _LOOKING_S * pace(trials) + scoring_s):
        return []
    if not trials.earlier:
        yield from _score_layers(trials, in_usual_layout(trials, base), timed, begin)
    proposed = _proposals(trials, goal, base, lossy)
    names: list[str] = []
    for position, recipe in enumerate(proposed):
        name, fraction = recipe_name(recipe), begin + share * (position + 1) / (len(proposed) + 1)
        if all(candidate.name != name for candidate in trials.candidates):
            yield from try_recipe(trials, recipe, fraction)
            names.append(name)
            if base.settings != trials.usual and trials.named(name).outcome == "feasible":
                names += yield from try_under(trials, trials.named(name), base.settings, fraction)
    return names


def leading_integers(trials: Trials, goal: Goal) -> Candidate | None:
    """The best of those that end with integers; where none stands, the one that lost least."""
    integers = [each for each in trials.candidates if _excludes(each) and trials.is_judged(each)]
    standing = [each for each in integers if each.outcome == "feasible" and each.name not in trials.aside]
    if standing:
        return min(standing, key=lambda each: candidate_cost(goal, each))
    lost = [each for each in integers if each.outcome == "infeasible" and each.selection.drop]
    return min(lost, key=lambda each: each.selection.drop.value if each.selection.drop else 0.0, default=None)


def _leading_in_four_bits(trials: Trials, goal: Goal) -> Candidate | None:
    """Where bytes are what counts: the smallest that a few layers may mend, or else what lost least."""
    if goal.objective != "size" or not goal.max_drop:
        return None
    lost = {
        each.name: each.selection.drop.value
        for each in trials.candidates
        if each.outcome in ("feasible", "infeasible") and _is_in_four_bits(each) and each.selection.drop
    }
    few = [each for each in trials.candidates if each.name in lost]
    near = [each for each in few if lost[each.name] <= _NEAR * goal.max_drop.value]
    if near:
        return min(near, key=lambda each: (candidate_cost(goal, each), lost[each.name]))
    return min(few, key=lambda each: lost[each.name], default=None)


def _is_in_four_bits(candidate: Candidate) -> bool:
    match candidate.recipe:
        case [*_, WeightOnly(bits=4, exclude=[])]:
            return candidate.model is not None
    return False


def _excludes(candidate: Candidate) -> bool:
    """Whether layers can be left out of it that are all in integers now."""
    technique = candidate.recipe[-1] if candidate.recipe and candidate.model else None
    return isinstance(technique, StaticInt8 | DynamicInt8) and getattr(technique, "exclude", None) == []


def _could_win(trials: Trials, goal: Goal, base: Candidate) -> bool:
    """Whether it is near enough to the best of the others for a few layers to make up for it, or was not measured."""
    others = [candidate_cost(goal, each) for each in trials.judged() if each.name != base.name]
    cost = candidate_cost(goal, base)
    return cost == float("inf") or cost <= _WITHIN * min(others, default=float("inf"))


def _loses(goal: Goal, candidate: Candidate) -> bool:
    """Whether accuracy is worth buying back: what was lost, or may have been, comes near what may be."""
    drop, limit = candidate.selection.drop, goal.max_drop
    return bool(drop and limit and drop.value > _FAITHFUL_SHARE * limit.value)


def _score_layers(trials: Trials, base: Candidate, timed: bool, fraction: float) -> Generator[Task, Reply, None]:
    """What each layer costs and brings, as far as it can be told."""
    *before, technique = base.recipe
    assert trials.splits.selection is not None, "without data nothing is scored"  # noqa: S101
    step = MeasureSensitivity(
        model=trials.model.file,
        technique=technique,
        before=before,
        statistics=None if before else trials.statistics,
        samples=first(trials.splits.selection, _SAMPLES),
        preprocessing=trials.request.preprocessing,
        workload=trials.request.workload,
        seed=trials.request.seed,
        instruction_sets=trials.machine.instruction_sets,
    )
    reply = yield Task(step, trials.progress("score", f"seeing what each layer of {base.name} costs", fraction))
    if isinstance(reply.outcome, Failed):
        return  # nothing is mixed then
    layers = found(reply.outcome, Sensitivity).layers
    profiles: list[ModelProfile | None] = [None, None]
    if timed and layers:
        for position, model in enumerate((trials.model.file, subject_of(base).model)):
            # Times are seen under the usual runtime, whichever leads: OpenVINO fuses layers and tells them less apart.
            profiles[position] = yield from profile(trials, Subject(model=model, settings=trials.usual), fraction)
    trials.layers = layer_scores(layers, *profiles)


def profile(trials: Trials, subject: Subject, fraction: float) -> Generator[Task, Reply, ModelProfile | None]:
    """Where the time of a model's calls goes; None where that could not be seen."""
    step = ProfileModel(
        subject=subject,
        workload=trials.request.workload,
        samples=trials.splits.selection,
        preprocessing=trials.request.preprocessing,
        seed=trials.request.seed,
        duration_s=_PROFILE_S,
    )
    reply = yield Task(step, trials.progress("profile", "seeing where the time of a call goes", fraction))
    return None if isinstance(reply.outcome, Failed) else found(reply.outcome, ModelProfile)


def _proposals(trials: Trials, goal: Goal, base: Candidate, lossy: bool) -> list[Recipe]:
    if not trials.layers:
        return []
    drop = base.selection.drop.value if base.selection.drop else None
    excluding = [names for names in solve_mixed(trials.layers, goal, drop) if names]
    whole_us = predicted_time_us(trials.layers)
    faster = [names for names in excluding if _is_faster(trials, names, whole_us)][:_MOST_FOR_TIME]
    kept = faster + [names for names in excluding if names not in faster][: _MOST_FOR_ACCURACY if lossy else 0]
    return list(_excluding(in_usual_layout(trials, base), kept))


def _is_faster(trials: Trials, names: list[str], whole_us: float) -> bool:
    return predicted_time_us(trials.layers, names) * (1 + _WORTH_TRYING) < whole_us


def _excluding(base: Candidate, lists: list[list[str]]) -> Iterator[Recipe]:
    *before, technique = base.recipe
    after = [_EIGHT] if isinstance(technique, WeightOnly) else []
    for names in lists:
        yield [*before, technique.model_copy(update={"exclude": names}), *after]
