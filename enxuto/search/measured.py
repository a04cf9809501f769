"""Measures what was tried: times it side by side with the original, and reads its memory."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from enxuto.report import Candidate, Measurements
from enxuto.search.memory import lowest_memory
from enxuto.search.plan import Reply, Task
from enxuto.search.timing import Effort, SideBySide, time_side_by_side, with_times
from enxuto.search.trial import Trials, failed, subject_of
from enxuto.steps import Failed, MeasureMemory, MemoryUse, Samples, Subject

_MOST_SIDE_BY_SIDE = 8
"""Models in one process: more would crowd each other out of memory and cache."""
_MOST_BYTES_SIDE_BY_SIDE = 1 << 30


def time_candidates(
    trials: Trials, candidates: Sequence[Candidate], effort: Effort, begin: float, share: float
) -> Generator[Task, Reply, None]:
    """Time candidates side by side with the original, in groups; what brings a group down is found one by one.

    ``begin`` and ``share`` are of the progress of the search.
    """
    groups = list(_groups(candidates))
    share /= max(len(groups), 1)
    for position, group in enumerate(groups):
        fraction = begin + share * position
        outcome = yield from _time_group(trials, group, effort, fraction, share)
        if isinstance(outcome, Failed) and len(group) > 1:
            for candidate in group:
                outcome = yield from _time_group(trials, [candidate], effort, fraction + share, 0.0)
                _drop_failed(trials, candidate, outcome)
        else:
            _drop_failed(trials, group[0], outcome)


def _drop_failed(trials: Trials, candidate: Candidate, outcome: SideBySide | Failed) -> None:
    """Make a row with its reason of a candidate that was timed alone and failed."""
    if isinstance(outcome, Failed):
        trials.replace(failed(trials, candidate, outcome.finding))


def _groups(candidates: Sequence[Candidate]) -> Iterator[list[Candidate]]:
    group: list[Candidate] = []
    size = 0
    for candidate in candidates:
        bytes_here = candidate.model.size_bytes if candidate.model else 0
        if group and (len(group) >= _MOST_SIDE_BY_SIDE or size + bytes_here > _MOST_BYTES_SIDE_BY_SIDE):
            yield group
            group, size = [], 0
        group.append(candidate)
        size += bytes_here
    if group:
        yield group


def _time_group(
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
            selection = with_times(candidate.selection, timed)
            trials.replace(candidate.model_copy(update={"selection": selection}))
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
            phase, f"timing {len(subjects)} models, load {load + 1}", fraction + share * load / effort.most
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
