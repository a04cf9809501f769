"""Finds the largest batch whose memory stays within a limit: doubles until it does not, then bisects; all measured."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from enxuto.report import LargestBatch
from enxuto.search.plan import Progress, Reply, Task, found
from enxuto.search.points import At, Points
from enxuto.search.ways import Way
from enxuto.steps import Failed, MeasureMemory, MemoryUse, Subject
from enxuto.words import seconds, settings_words
from enxuto.workload import LARGEST_BATCH

_SLOW_S = 60.0
"""A measurement that took longer than this is not followed by one of twice the batch."""
_FINE = 64
"""The answer is exact up to this batch, and to one part in this many beyond it."""


@dataclass
class _Search:
    """What was tried so far."""

    points: Points
    way: Way
    memory_mb: float
    tried: dict[int, int | None] = field(default_factory=dict)
    fits: int = 0
    """The largest batch that fits, so far; 0 while none does."""
    too_large: int | None = None
    """The smallest that does not."""
    why: str = ""
    """Why that one does not, or why no larger one was tried; a clause."""


def find_largest_batch(points: Points, way: Way, memory_mb: float) -> Generator[Task, Reply, LargestBatch]:
    """A model with a fixed batch axis is tried at that one."""
    search = _Search(points, way, memory_mb)
    fixed = points.model.inspection.batch_size
    yield from _double(search, fixed or 1, fixed or LARGEST_BATCH)
    while search.too_large is not None and fixed is None:
        gap = search.too_large - search.fits
        if gap <= max(1, search.fits // _FINE):
            break
        yield from _try(search, search.fits + gap // 2)
    return LargestBatch(
        settings=way.settings,
        memory_mb=memory_mb,
        batch_size=search.fits or None,
        peak_bytes=search.tried.get(search.fits),
        tried={str(batch): search.tried[batch] for batch in sorted(search.tried)},
        detail=_told(search, fixed),
    )


def _double(search: _Search, first: int, most: int) -> Generator[Task, Reply, None]:
    batch_size = first
    while True:
        took_s = yield from _try(search, batch_size)
        if search.too_large is not None:
            return
        if batch_size * 2 > most:
            search.why = f"batch {batch_size:,} is the largest that is tried"
            return
        if took_s > _SLOW_S:
            search.why = f"measuring batch {batch_size:,} took {seconds(took_s)}"
            return
        batch_size *= 2


def _try(search: _Search, batch_size: int) -> Generator[Task, Reply, float]:
    """Measure one batch size; returns how long that took, in seconds."""
    points, way = search.points, search.way
    step = MeasureMemory(
        subject=Subject(model=points.model.file, settings=way.settings),
        workload=points.workload(At(way, batch_size)),
        samples=points.samples,
        preprocessing=points.request.preprocessing,
        seed=points.request.seed,
    )
    message = f"memory of {settings_words(way.settings)} at batch {batch_size}"
    reply = yield Task(step, Progress("measure", message, points.advance()))
    points.spent_s += reply.outcome.elapsed_s
    if isinstance(reply.outcome, Failed):
        search.tried[batch_size] = None
        search.too_large = batch_size
        search.why = f"batch {batch_size:,} does not run ({reply.outcome.finding.detail.rstrip('.')})"
        return reply.outcome.elapsed_s
    peak_bytes = found(reply.outcome, MemoryUse).peak_bytes
    search.tried[batch_size] = peak_bytes
    if peak_bytes <= search.memory_mb * 1e6:
        search.fits = batch_size
    else:
        search.too_large = batch_size
        search.why = f"batch {batch_size:,} takes {_mb(peak_bytes)}"
    return reply.outcome.elapsed_s


def _told(search: _Search, fixed: int | None) -> str:
    limit = f"{search.memory_mb:g} MB"
    if not any(search.tried.values()):
        return f"no batch could be measured: {search.why}."
    if not search.fits:
        return f"not even batch {min(search.tried):,} stays within {limit}: {search.why}."
    found_here = f"batch {search.fits:,} takes {_mb(search.tried[search.fits] or 0)} of {limit}"
    if fixed:
        return f"{found_here}; the model takes no other batch."
    if search.too_large is None:
        return f"{found_here}; larger ones may fit too, but {search.why}."
    return f"{found_here}; {search.why}."


def _mb(size_bytes: int) -> str:
    """With a digit more than elsewhere: what is told is which side of a limit it lies on."""
    return f"{size_bytes / 1e6:,.1f} MB"
