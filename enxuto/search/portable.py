"""Makes sure that what wins holds its accuracy on the processors that were asked for, and says where else it does."""

from __future__ import annotations

from collections.abc import Generator
from typing import get_args

from enxuto.errors import Finding
from enxuto.goal import Goal
from enxuto.processor import Processor
from enxuto.recipe import Recipe, recipe_name
from enxuto.report import Candidate
from enxuto.search.halving import look_at_new
from enxuto.search.layouts import in_usual_layout
from enxuto.search.looking import chosen
from enxuto.search.parts import first
from enxuto.search.plan import Reply, Task, found
from enxuto.search.trial import Trials
from enxuto.search.trying import make_again, try_recipe
from enxuto.steps import AssessPortability, Failed, Portability, ProcessorAccuracy

_SAMPLES = 32
_MOST_ROUNDS = 4
"""Of choosing, looking and trying a variant: each costs a candidate."""
ASSESSING_S = 10.0
"""Of a small model, about."""


def assess(trials: Trials, candidate: Candidate) -> Generator[Task, Reply, Portability | Finding]:
    """On which kinds of processor a candidate's file holds its accuracy."""
    assert candidate.model is not None, "only a candidate with a file is assessed"  # noqa: S101
    samples, file = trials.splits.selection, in_usual_layout(trials, candidate).model or candidate.model
    step = AssessPortability(
        original=trials.model.file,
        model=file.sha256,
        processors=list(get_args(Processor)),
        samples=first(samples, _SAMPLES) if samples else None,
        preprocessing=trials.request.preprocessing,
        workload=trials.request.workload,
        seed=trials.request.seed,
        instruction_sets=trials.machine.instruction_sets,
        metric=trials.request.metric,
    )
    message = f"working out what {candidate.name} answers on other processors"
    reply = yield Task(step, trials.progress("assess", message, 0.8))
    return reply.outcome.finding if isinstance(reply.outcome, Failed) else found(reply.outcome, Portability)


def hold_on_processors(trials: Trials, goal: Goal) -> Generator[Task, Reply, None]:
    """Until what is best holds on every processor that was asked for, give way to a variant made for it, or reject."""
    if not trials.request.processors:
        return
    for _ in range(_MOST_ROUNDS):
        candidate = chosen(trials, goal)
        if candidate is None or candidate.model is None or candidate.model.sha256 == trials.model.file:
            return
        yield from make_again(trials, [candidate])
        if trials.named(candidate.name).outcome != "feasible":
            continue
        outcome = yield from assess(trials, candidate)
        missing = [] if isinstance(outcome, Finding) else _missing(trials, outcome)
        if isinstance(outcome, Finding) or not missing:
            return  # where it cannot be worked out, the report says nothing of it rather than something wrong
        tried = yield from _try_for(trials, goal, candidate, missing[0].processor)
        surely = any(each.holds is False for each in missing)
        if surely or tried:
            words = " and ".join(f"{each.processor} ({each.why})" for each in missing)
            update = {"outcome": "infeasible", "reason": f"is not known to hold its accuracy on {words}"}
            _reject_file(trials, candidate.model.sha256, update)
        else:
            return


def holds_where_asked(trials: Trials, candidate: Candidate) -> Generator[Task, Reply, bool]:
    """Whether nothing speaks against it on the processors that were asked for."""
    if not trials.request.processors or candidate.model is None or candidate.model.sha256 == trials.model.file:
        return True
    outcome = yield from assess(trials, candidate)
    return isinstance(outcome, Finding) or not _missing(trials, outcome)


def _missing(trials: Trials, portability: Portability) -> list[ProcessorAccuracy]:
    asked = trials.request.processors
    return [each for each in portability.processors if each.processor in asked and each.holds is not True]


def _reject_file(trials: Trials, digest: str, update: dict[str, str]) -> None:
    """Under whatever settings: what saturates does so by the numbers in the file."""
    for other in trials.alive():
        if other.model and other.model.sha256 == digest:
            trials.replace(other.model_copy(update=update))


def _try_for(trials: Trials, goal: Goal, candidate: Candidate, processor: Processor) -> Generator[Task, Reply, bool]:
    """Try the same recipe made for a processor; returns whether there is anything new to choose from."""
    recipe = made_for(candidate.recipe, processor)
    if recipe is None or any(other.name == recipe_name(recipe) for other in trials.candidates):
        return False
    yield from try_recipe(trials, recipe, 0.8)
    yield from look_at_new(trials, goal, [recipe_name(recipe)], 0.8, 0.0)
    return trials.named(recipe_name(recipe)).outcome == "feasible"


def made_for(recipe: Recipe, processor: Processor) -> Recipe | None:
    """The recipe with its integers laid out for a processor; None where nothing in it depends on that."""
    laid_out = [
        each.model_copy(update={"processor": processor}) if "processor" in type(each).model_fields else each
        for each in recipe
    ]
    return laid_out if laid_out != recipe else None
