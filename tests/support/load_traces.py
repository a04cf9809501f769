"""What a load run leaves, made up: every other batch comes while the one before it runs, the others after a pause."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

PAUSE_NS = 3_000_000
AROUND_NS = 20_000
ANSWER_NS = 5_000


def a_load(
    sizes: Sequence[int], call_ns: Callable[[int], float], *, late_ns: int = 10_000, quiet: bool = True
) -> dict[str, np.ndarray]:
    """``latencies.npz`` of one instance; its sender is as late as told."""
    columns: dict[str, list[float]] = {
        name: [] for name in ("arrival_ns", "sent_ns", "called_ns", "returned_ns", "answered_ns")
    }
    free = 0.0
    for position, size in enumerate(sizes):
        due = free - call_ns(1) / 2 if position % 2 else free + PAUSE_NS
        called = max(due + late_ns, free) + AROUND_NS
        returned = called + call_ns(size)
        free = returned + ANSWER_NS
        for name, at in zip(columns, (due, due + late_ns, called, returned, free), strict=True):
            columns[name] += [at] * size
    found = {name: np.asarray(values).round().astype(np.int64) for name, values in columns.items()}
    return found | {"quiet": np.full(len(columns["sent_ns"]), quiet)}
