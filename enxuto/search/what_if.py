"""What if something else were asked? Answered from what an earlier search measured; only what is new is done.

A recipe makes the same file every time, so files of the earlier search need not be kept: what is delivered or measured
anew is made again, and must come out as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator

from enxuto.errors import BadInput
from enxuto.goal import Goal
from enxuto.machine import Machine
from enxuto.report import Candidate, OptimizeReport
from enxuto.request import OptimizeOptions
from enxuto.search.choose import candidate_cost
from enxuto.search.halving import look_at_new
from enxuto.search.plan import Reply, Task
from enxuto.search.sieve import MOST_KEPT, reject, set_aside_siblings
from enxuto.search.trial import Trials
from enxuto.search.trying import make_again
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
    trials.candidates = [_reopened(candidate) for candidate in earlier.candidates]
    trials.noise, trials.latest_noise = list(earlier.noise), list(earlier.noise[-1:])
    if _is_about_bytes(earlier.goal) == _is_about_bytes(trials.request.goal):
        trials.layers = list(earlier.layers)  # of weights in four bits, or of integers: these say nothing of those
    trials.health = earlier.data
    trials.known = list(earlier.confirmations)


def _is_about_bytes(goal: Goal | None) -> bool:
    return goal is not None and goal.objective == "size"


def _reopened(candidate: Candidate) -> Candidate:
    if candidate.model is None or candidate.outcome not in ("infeasible", "skipped"):
        return candidate
    return candidate.model_copy(update={"outcome": "feasible", "reason": ""})


def fill_in(trials: Trials, goal: Goal, begin: float, share: float) -> Generator[Task, Reply, None]:
    """Reject by the new goal, and measure what the earlier search had no reason to: candidates that may be the best
    now, and of which something is missing that they are told by.
    """
    reject(trials, goal, surely=True)
    set_aside_siblings(trials, goal)
    missing = _missing(trials, goal)
    if not missing:
        return
    yield from make_again(trials, missing)
    yield from look_at_new(trials, goal, [each.name for each in missing], begin, share)


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
    wants_time = goal.objective in ("latency", "throughput") or goal.p95_ms is not None
    wants_memory = goal.objective == "memory" or goal.memory_mb is not None
    return (wants_time and not timed) or (wants_memory and not weighed)
