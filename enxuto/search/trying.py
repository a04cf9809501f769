"""Tries recipes: applies each, and takes a first look at what it lost."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

from enxuto.errors import Finding
from enxuto.recipe import Recipe, recipe_name
from enxuto.report import Candidate, ModelRef
from enxuto.schema import Digest
from enxuto.search.costs import confirmation_reserve_s
from enxuto.search.evaluating import evaluation_step, scored, with_accuracy
from enxuto.search.groundwork import calibrate, evaluate_original
from enxuto.search.plan import Reply, Task, found
from enxuto.search.trial import LATE, Trials, subject_of
from enxuto.steps import Applied, ApplyRecipe, Evaluation, EvaluationFiles, Failed, Samples

_IDLE = {
    "nothing_to_fuse": "transformer_fusion",
    "nothing_to_smooth": "smooth_quant",
    "no_padding_mask": "padding_removal",
}
"""Techniques that a recipe does without, by the code with which they say so."""
RANDOM_RANGES = (
    "There was no data: ranges come from inputs drawn by chance, so what it loses on real ones is not known."
)


def try_recipes(
    trials: Trials, recipes: Sequence[Recipe], begin: float = 0.04, share: float = 0.4
) -> Generator[Task, Reply, None]:
    """Apply each recipe and look at the outcome; ``begin`` and ``share`` are of the progress of the search.

    Where a technique that only prepares others finds nothing to do, what is left of the recipe is tried next.
    """
    costs: list[float] = []
    recipes = list(recipes)
    for position, recipe in enumerate(recipes):
        reserve = max(costs, default=0.0) + (confirmation_reserve_s(trials) if trials.alive() else 0.0)
        remaining = trials.meter.remaining_s
        if remaining is not None and remaining < reserve:
            late = {"outcome": "skipped", "reason": LATE}
            trials.candidates += [_candidate(trials, untried).model_copy(update=late) for untried in recipes[position:]]
            trials.cut_short = True
            return
        before_s = trials.meter.spent_s
        yield from try_recipe(trials, recipe, begin + share * position / len(recipes))
        costs.append(trials.meter.spent_s - before_s)
        left = _without_idle(trials, recipe)
        if left and left not in recipes and not _is_known(trials, left):
            recipes.insert(position + 1, left)


def _without_idle(trials: Trials, recipe: Recipe) -> Recipe | None:
    """What is left of a recipe that failed because one of its techniques had nothing to do; None where it did not."""
    finding = trials.findings.get(recipe_name(recipe))
    idle = _IDLE.get(finding.code) if finding and not trials.request.recipe else None
    return [each for each in recipe if each.kind != idle] if idle else None


def _is_known(trials: Trials, recipe: Recipe) -> bool:
    """Whether it stands among the candidates, as what an earlier search tried does."""
    return any(candidate.name == recipe_name(recipe) for candidate in trials.candidates)


def try_recipe(trials: Trials, recipe: Recipe, fraction: float) -> Generator[Task, Reply, None]:
    """Apply one recipe, and look at what came out where it is not known already."""
    candidate = _candidate(trials, recipe)
    trials.candidates.append(candidate)
    applied = yield from apply(trials, recipe, fraction)
    if isinstance(applied, Finding):
        trials.fail(candidate, applied)
        return
    model, notes = applied
    candidate = candidate.model_copy(update={"model": model, "notes": notes})
    twin = _twin(trials, model.sha256)
    if twin:
        candidate = candidate.model_copy(update={"outcome": "duplicate", "reason": f"the same file as {twin}"})
    trials.replace(candidate)
    if not twin:
        yield from look_at(trials, candidate, fraction)


def apply(
    trials: Trials, recipe: Recipe, fraction: float
) -> Generator[Task, Reply, tuple[ModelRef, list[str]] | Finding]:
    """The model that a recipe makes, and what is to be known of it; or why it makes none."""
    ranges = recipe[0].needs_calibration
    step = ApplyRecipe(
        model=trials.model.file,
        recipe=recipe,
        calibration=trials.splits.calibration,
        preprocessing=trials.request.preprocessing,
        seed=trials.request.seed,
        instruction_sets=trials.machine.instruction_sets,
        workload=trials.request.workload,
        statistics=trials.statistics if ranges else None,
    )
    reply = yield Task(step, trials.progress("apply", f"applying {recipe_name(recipe)}", fraction))
    if isinstance(reply.outcome, Failed):
        return reply.outcome.finding
    applied = found(reply.outcome, Applied)
    trials.made.add(reply.outcome.files[applied.file])
    notes = [*applied.notes, RANDOM_RANGES] if ranges and trials.random_ranges else applied.notes
    return ModelRef(sha256=reply.outcome.files[applied.file], size_bytes=applied.size_bytes), notes


def look_at(trials: Trials, candidate: Candidate, fraction: float) -> Generator[Task, Reply, None]:
    """Score a candidate on a few samples, or on all that choose where those cost no more."""
    yield from _evaluate_original(trials)
    if trials.few and trials.looked_at:
        yield from _evaluate(trials, candidate, trials.few, trials.looked_at, "looking at", fraction)
    else:
        yield from evaluate(trials, candidate, fraction)


def evaluate(trials: Trials, candidate: Candidate, fraction: float) -> Generator[Task, Reply, None]:
    """Score a candidate on all samples that choose, where there are any."""
    yield from _evaluate_original(trials)
    if trials.evaluated and trials.splits.selection:
        yield from _evaluate(trials, candidate, trials.splits.selection, trials.evaluated, "evaluating", fraction)


def _evaluate_original(trials: Trials) -> Generator[Task, Reply, None]:
    """Where an earlier search did, and what it left is gone."""
    if trials.earlier and trials.evaluated is None:
        yield from evaluate_original(trials)


def _evaluate(
    trials: Trials, candidate: Candidate, samples: Samples, reference: EvaluationFiles, doing: str, fraction: float
) -> Generator[Task, Reply, None]:
    step = evaluation_step(trials, subject_of(candidate), samples, reference)
    reply = yield Task(step, trials.progress("evaluate", f"{doing} {candidate.name}", fraction))
    if isinstance(reply.outcome, Failed):
        trials.fail(candidate, reply.outcome.finding)
        return
    known = trials.named(candidate.name)
    seen = with_accuracy(known.selection, scored(found(reply.outcome, Evaluation)))
    trials.replace(known.model_copy(update={"selection": seen}))


def _candidate(trials: Trials, recipe: Recipe) -> Candidate:
    """Before anything is known of it."""
    name = recipe_name(recipe)
    return Candidate(name=name, recipe=recipe, model=None, settings=trials.usual, outcome="feasible")


def _twin(trials: Trials, digest: Digest) -> str | None:
    if digest == trials.model.file:
        return "the original"
    return next((other.name for other in trials.candidates if other.model and other.model.sha256 == digest), None)


def make_again(trials: Trials, candidates: Iterable[Candidate]) -> Generator[Task, Reply, None]:
    """Make the files of candidates that an earlier search made; one that comes out otherwise becomes a row."""
    for candidate in candidates:
        if candidate.model is None or candidate.model.sha256 in {*trials.made, trials.model.file}:
            continue
        if trials.statistics is None:
            yield from calibrate(trials, [candidate.recipe])
        applied = yield from apply(trials, candidate.recipe, 0.1)
        if isinstance(applied, Finding):
            trials.fail(candidate, applied)
        elif applied[0].sha256 != candidate.model.sha256:
            trials.fail(candidate, _NOT_THE_SAME)
        else:
            trials.made.add(candidate.model.sha256)


_NOT_THE_SAME = Finding(
    code="not_reproduced",
    detail="Its recipe makes another file now than in the earlier search, so what was measured then does not hold.",
    hint="Search anew: another version of a library may be at work.",
    fault="internal",
)
