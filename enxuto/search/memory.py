"""Measures memory so that it repeats: a process in which loading happened to leave much behind is not the last word.

Where a runtime packs weights in an order that follows their addresses, which differ from process to process, the C
library is left with more or fewer pieces that it cannot give back, up to a tenth of the peak. That luck only ever adds.
"""

from __future__ import annotations

from collections.abc import Generator

from enxuto.search.plan import Progress, Reply, Task, found
from enxuto.steps import Failed, MeasureMemory, MemoryUse

_MOST_LOADS = 5
_ENOUGH_ALIKE, _ALIKE = 3, 0.005
"""Processes whose peaks are as close as this: what is left is no luck then."""
_MUCH_LEFT = 0.05
"""Share of the peak: what interpreters and small models leave is less."""


def lowest_memory(step: MeasureMemory, progress: Progress) -> Generator[Task, Reply, MemoryUse | None]:
    """Of up to five fresh processes, the one with the lowest peak; None where the first one failed."""
    uses: list[MemoryUse] = []
    for load in range(_MOST_LOADS):
        reply = yield Task(step.model_copy(update={"load": load}), progress)
        if isinstance(reply.outcome, Failed):
            break
        uses.append(found(reply.outcome, MemoryUse))
        left_bytes = uses[-1].left_by_loading_bytes
        if left_bytes is None or left_bytes < _MUCH_LEFT * uses[-1].peak_bytes:
            break
        peaks = [use.peak_bytes for use in uses]
        if len(peaks) >= _ENOUGH_ALIKE and max(peaks) <= min(peaks) * (1 + _ALIKE):
            break
    return min(uses, key=lambda use: use.peak_bytes, default=None)
