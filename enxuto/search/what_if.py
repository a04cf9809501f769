"""What if something else were asked? Answered from what an earlier search measured; only what is new is done: recipes
that the earlier goal did not ask for, or had no time for, and what was not measured then.

A recipe makes the same file every time, so files of the earlier search need not be kept: what is delivered or measured
anew is made again, and must come out as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator

from enxuto.errors import BadInput
from enxuto.goal import Goal
from enxuto.machine import Machine
from enxuto.recipe import recipe_name
from enxuto.report import Candidate, OptimizeReport
from enxuto.request import OptimizeOptions
from enxuto.search.choose import candidate_cost, wants_time
from enxuto.search.groundwork import calibrate, evaluate_original
from enxuto.search.halving import look_at_new, look_at_speed
from enxuto.search.plan import Reply, Task
from enxuto.search.proposing import recipes_for
from enxuto.search.sieve import MOST_KEPT, reject, set_aside_siblings, taken_back
from enxuto.search.trial import Trials
from enxuto.search.trying import make_again, try_recipes
from enxuto.search.tune import try_on_other_runtimes
from enxuto.signature import DatasetInput, ModelInput


def require_same_conditions(
    request: OptimizeOptions,
    model: ModelInput,
    data: dict[str, DatasetInput | None],
    machine: Machine,
    earlier: OptimizeReport,
) -> None:
    """Raises BadInput, which names what differs, where what was measured then does not hold now.

    ``request`` is resolved; ``data`` stands by role.
    """
    if request.recipe or earlier.goal is None:
        raise BadInput(
            "An earlier report answers what another goal would bring, and a recipe stands instead of a goal.",
            code="earlier_does_not_fit",
            hint="Give a goal, and the report of a search; a recipe is applied and measured anew.",
        )
    now = {role: dataset.file for role, dataset in data.items() if dataset}
    same = {
        "the model": model.file == earlier.model.sha256,
        "the evaluation data": now.get("evaluation") == earlier.replay.datasets.get("evaluation"),
        "the calibration data": now.get("calibration") == earlier.replay.datasets.get("calibration"),
        "the preprocessing": request.preprocessing == earlier.preprocessing,
        "the metric": request.metric == earlier.metric,
        "the workload": request.workload == earlier.workload,
        "the seed": request.seed == earlier.replay.seed,
        "the machine or a library on it": machine.fingerprint == earlier.machine.fingerprint,
        "how a drop is counted": _counted(request.goal) in (None, _counted(earlier.goal) or _counted(Goal())),
    }
    if differing := [what for what, holds in same.items() if not holds]:
        raise BadInput(
            f"The earlier report is about something else: {', '.join(differing)} differ{'s' * (len(differing) == 1)}.",
            code="earlier_does_not_fit",
            hint="Ask for another goal alone, or search anew without the earlier report.",
        )


def _counted(goal: Goal | None) -> tuple[bool, float] | None:
    """Bounds of drops were taken at a confidence, and as a share or not."""
    limit = goal.max_drop if goal else None
    return (limit.relative, limit.confidence) if limit else None


def take_over(trials: Trials, earlier: OptimizeReport) -> None:
    """Start from what an earlier search measured; what it concluded was for another goal."""
    trials.earlier = hashlib.sha256(earlier.model_dump_json(by_alias=True).encode()).hexdigest()
    trials.original = earlier.baseline
    trials.candidates = [_reopened(each) for each in earlier.candidates if each.model or each.outcome != "skipped"]
    trials.noise, trials.latest_noise = list(earlier.noise), list(earlier.noise[-1:])
    if _is_about_bytes(earlier.goal) == _is_about_bytes(trials.request.goal):
        trials.layers = list(earlier.layers)  # of weights in four bits, or of integers: these say nothing of those
    trials.health = earlier.data
    trials.known = list(earlier.confirmations)


def _is_about_bytes(goal: Goal | None) -> bool:
    return goal is not None and goal.objective == "size"


def _reopened(candidate: Candidate) -> Candidate:
    candidate = taken_back(candidate)
    if candidate.model is None or candidate.outcome not in ("infeasible", "skipped"):
        return candidate
    return candidate.model_copy(update={"outcome": "feasible", "reason": ""})


def fill_in(trials: Trials, goal: Goal, begin: float, share: float) -> Generator[Task, Reply, None]:
    """Try what the new goal asks for and nobody tried, reject by it, and measure what the earlier search had no reason
    to: candidates that may be the best now, and of which something is missing that they are told by.
    """
    anew = yield from _try_new(trials, goal, begin, share / 2)
    reject(trials, goal, surely=True)
    set_aside_siblings(trials, goal)
    if anew or _wants_other_runtimes(trials, goal):
        yield from _look_at_all(trials, goal, begin + share / 2, share / 4)
    missing = _missing(trials, goal)
    if not missing:
        return
    yield from make_again(trials, missing)
    yield from look_at_new(trials, goal, [each.name for each in missing], begin + 3 * share / 4, share / 4)


def _try_new(trials: Trials, goal: Goal, begin: float, share: float) -> Generator[Task, Reply, bool]:
    """Whether there was anything that the earlier search did not try."""
    known = {candidate.name for candidate in trials.candidates}
    recipes = [each for each in recipes_for(trials, goal) if recipe_name(each) not in known]
    if not recipes:
        return False
    if trials.evaluated is None:
        yield from evaluate_original(trials)
    yield from calibrate(trials, recipes)
    yield from try_recipes(trials, recipes, begin, share)
    return True


def _look_at_all(trials: Trials, goal: Goal, begin: float, share: float) -> Generator[Task, Reply, None]:
    """As a search does of what it made: under every runtime, and briefly timed where that is many."""
    if wants_time(goal):
        yield from make_again(trials, trials.alive())
    yield from try_on_other_runtimes(trials, goal, begin, share / 2)
    reject(trials, goal, surely=True)
    yield from look_at_speed(trials, goal, begin + share / 2, share / 2)


def _wants_other_runtimes(trials: Trials, goal: Goal) -> bool:
    """Whether time counts now, and did not for the earlier goal: then no other runtime was looked at."""
    usual = trials.usual.runtime
    several = len(set(trials.request.workload.runtimes)) > 1
    return wants_time(goal) and several and all(each.settings.runtime == usual for each in trials.candidates)


def _missing(trials: Trials, goal: Goal) -> list[Candidate]:
    known = [candidate_cost(goal, each) for each in trials.judged() if not _lacks(goal, each)]
    best = min(known, default=float("inf"))
    wanting = [each for each in trials.alive() if not trials.is_judged(each) or _lacks(goal, each)]
    costs = {each.name: candidate_cost(goal, each) for each in wanting}
    promising = [each for each in wanting if costs[each.name] < best or costs[each.name] == float("inf")]
    return sorted(promising, key=lambda each: costs[each.name])[:MOST_KEPT]


def _lacks(goal: Goal, candidate: Candidate) -> bool:
    """Whether something that the goal is about was not measured."""
    seen = candidate.selection
    timed = seen.speedup is not None
    weighed = seen.memory_bytes is not None
    wants_memory = goal.objective == "memory" or goal.memory_mb is not None
    return (wants_time(goal) and not timed) or (wants_memory and not weighed)
