"""Measures what was tried: times it side by side with the original, and reads its memory."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from enxuto.errors import Finding
from enxuto.goal import Goal
from enxuto.report import Candidate, Measurements
from enxuto.search.memory import lowest_memory
from enxuto.search.plan import PlanFailed, Reply, Task
from enxuto.search.timing import Effort, SideBySide, time_side_by_side, with_times
from enxuto.search.trial import Trials, subject_of
from enxuto.steps import Failed, MeasureMemory, MemoryUse, Samples, Subject

_MOST_SIDE_BY_SIDE = 8
"""Models in one process: more would crowd each other out of memory and cache."""
_MOST_BYTES_SIDE_BY_SIDE = 1 << 30
"""Of candidates in one process. An original that is larger by itself has one beside it at a time, whatever its file
says: some hold all their weights in floating point again once they are loaded."""


def measure(
    trials: Trials, goal: Goal, candidates: Sequence[Candidate], effort: Effort, begin: float, share: float
) -> Generator[Task, Reply, None]:
    """Time candidates beside the original, and weigh them where the goal is about memory."""
    yield from time_candidates(trials, candidates, effort, begin, share)
    if not (goal.memory_mb or goal.objective == "memory"):
        return
    selection, fraction = trials.splits.selection, begin + share
    if trials.original.selection.memory_bytes is None:
        use = yield from measure_memory(trials, trials.baseline, selection, fraction)
        seen = with_memory(trials.original.selection, use)
        trials.original = trials.original.model_copy(update={"selection": seen})
    for candidate in [trials.named(each.name) for each in candidates]:
        if candidate.model and candidate.selection.memory_bytes is None:
            use = yield from measure_memory(trials, subject_of(candidate), selection, fraction)
            trials.replace(candidate.model_copy(update={"selection": with_memory(candidate.selection, use)}))


def time_candidates(
    trials: Trials, candidates: Sequence[Candidate], effort: Effort, begin: float, share: float
) -> Generator[Task, Reply, None]:
    """Time candidates side by side with the original, in groups.

    ``begin`` and ``share`` are of the progress of the search.
    """
    groups = list(_groups(candidates, trials.original.model.size_bytes))
    share /= max(len(groups), 1)
    for position, group in enumerate(groups):
        yield from _time_group(trials, group, effort, begin + share * position, share)


def _time_group(
    trials: Trials, group: list[Candidate], effort: Effort, fraction: float, share: float
) -> Generator[Task, Reply, None]:
    """What brings a group down is found by halves, and becomes a row with its reason."""
    outcome = yield from _time_together(trials, group, effort, fraction, share)
    if isinstance(outcome, Failed) and len(group) > 1:
        middle = len(group) // 2
        for half in (group[:middle], group[middle:]):
            yield from _time_group(trials, half, effort, fraction + share, 0.0)
    elif isinstance(outcome, Failed):
        yield from _require_that_the_original_runs(trials, effort, fraction)
        trials.fail(group[0], outcome.finding)


def _require_that_the_original_runs(trials: Trials, effort: Effort, fraction: float) -> Generator[Task, Reply, None]:
    """Without data nothing has run it yet, and a candidate is not to blame for what the original does not do."""
    if trials.evaluated or trials.original.selection.latency:
        return
    alone = yield from _time_together(trials, [], effort, fraction, 0.0)
    if isinstance(alone, Failed) and alone.finding.code == "model_fails_to_run":
        raise PlanFailed(_about_the_original(trials, alone.finding))


def _about_the_original(trials: Trials, finding: Finding) -> Finding:
    inner = [axis for spec in trials.model.inspection.inputs for axis in (spec.shape or [])[1:]]
    lengths = sorted({axis for axis in inner if isinstance(axis, str)})
    hint = f", or the lengths of {', '.join(lengths)} in workload.dims: each is 1 otherwise" if lengths else ""
    why = finding.detail.removeprefix("the model does not run on these inputs: ")
    update = {"detail": f"The original does not run on random inputs: {why}", "hint": f"Give data{hint}."}
    return finding.model_copy(update=update)


def _groups(candidates: Sequence[Candidate], original_bytes: int) -> Iterator[list[Candidate]]:
    most = _MOST_SIDE_BY_SIDE if original_bytes <= _MOST_BYTES_SIDE_BY_SIDE else 1
    group: list[Candidate] = []
    size = 0
    for candidate in candidates:
        bytes_here = candidate.model.size_bytes if candidate.model else 0
        if group and (len(group) >= most or size + bytes_here > _MOST_BYTES_SIDE_BY_SIDE):
            yield group
            group, size = [], 0
        group.append(candidate)
        size += bytes_here
    if group:
        yield group


def _time_together(
    trials: Trials, group: Sequence[Candidate], effort: Effort, fraction: float, share: float
) -> Generator[Task, Reply, SideBySide | Failed]:
    subjects = [trials.baseline, *map(subject_of, group)]
    outcome = yield from time_models(trials, subjects, trials.splits.selection, effort, "measure", fraction, share)
    if isinstance(outcome, SideBySide):
        original, *others = outcome.timed
        trials.original = trials.original.model_copy(
            update={"selection": with_times(trials.original.selection, original)}
        )
        for candidate, timed in zip(group, others, strict=True):
            known = trials.named(candidate.name)
            trials.replace(known.model_copy(update={"selection": with_times(known.selection, timed)}))
    return outcome


def time_models(
    trials: Trials,
    subjects: Sequence[Subject],
    samples: Samples | None,
    effort: Effort,
    phase: str,
    fraction: float,
    share: float,
) -> Generator[Task, Reply, SideBySide | Failed]:
    """Time models side by side and keep what else went on while they were."""
    outcome = yield from time_side_by_side(
        subjects,
        trials.request,
        samples,
        effort,
        trials.request.margin,
        lambda load: trials.progress(
            phase,
            f"timing {len(subjects)} model{'s' * (len(subjects) > 1)}, load {load + 1}",
            fraction + share * load / effort.most,
        ),
    )
    if isinstance(outcome, SideBySide):
        trials.noise += outcome.noise
        trials.latest_noise = outcome.noise
    return outcome


def measure_memory(
    trials: Trials, subject: Subject, samples: Samples | None, fraction: float
) -> Generator[Task, Reply, MemoryUse | None]:
    """Resident memory of fresh processes that run the model; None where it failed."""
    step = MeasureMemory(
        subject=subject,
        workload=trials.request.workload,
        samples=samples,
        preprocessing=trials.request.preprocessing,
        seed=trials.request.seed,
    )
    return (yield from lowest_memory(step, trials.progress("measure", "measuring memory", fraction)))


def with_memory(seen: Measurements, use: MemoryUse | None) -> Measurements:
    """What was seen of a model, with its memory and what that went to."""
    return seen.model_copy(update={"memory_bytes": use.peak_bytes if use else None, "memory": use})
