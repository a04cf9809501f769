"""What a load run tells about batches: when an instance took them, how long the model ran, and what came between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heapreplace

import numpy as np

_LONG_AGO = -1e18
_LEAST_QUIET = 20
"""Queries; where fewer met a quiet moment, all of them count."""


@dataclass(frozen=True)
class Trace:
    """Of one load run or several; times in nanoseconds. One entry a batch, but for those of the sender."""

    size: np.ndarray
    waited: np.ndarray
    """Whether its first query was there before an instance was free."""
    pause: np.ndarray
    """How long its instance had been idle."""
    lead: np.ndarray
    """From when the instance was free and the first query there until the model was called."""
    working: np.ndarray
    """Instances at work, this one included."""
    call: np.ndarray
    answer: np.ndarray
    """From the model's return until the last query was answered."""
    late: np.ndarray
    """How late the sender woke, where it had slept; entry by entry with ``late_busy``."""
    late_busy: np.ndarray
    """Whether no instance was free then."""
    send: np.ndarray
    """From one query to the next, where that was due already."""

    def __add__(self, other: Trace) -> Trace:
        joined = {name: np.concatenate([mine, getattr(other, name)]) for name, mine in vars(self).items()}
        return Trace(**joined)


def read_trace(raw: Mapping[str, np.ndarray], instances: int) -> Trace:
    """From the file of a load run without a delay; what was disturbed is left out, unless hardly anything was quiet."""
    answered = raw["answered_ns"] > 0
    run = {name: values[answered] for name, values in raw.items()}
    quiet = run["quiet"].astype(bool)
    quiet |= quiet.sum() < _LEAST_QUIET
    rows = np.asarray(list(_batches(run, quiet, instances)), float).reshape(-1, 8)
    rows = rows[rows[:, 7] > 0]
    size, waited, pause, lead, working, call, answer, _ = rows.T
    return Trace(size, waited > 0, pause, lead, working, call, answer, *_sending(run, quiet, instances))


def _batches(run: Mapping[str, np.ndarray], quiet: np.ndarray, instances: int) -> Iterator[tuple[float, ...]]:
    """Those of a batch were called at the same time; the instance that was free the longest took it."""
    called, first, sizes = np.unique(run["called_ns"], return_index=True, return_counts=True)
    free = [_LONG_AGO] * instances
    for at, query, size in zip(called.tolist(), first.tolist(), sizes.tolist(), strict=True):
        came, returned, answered = (float(run[name][query]) for name in ("sent_ns", "returned_ns", "answered_ns"))
        free_at = free[0]
        start = max(free_at, came)
        working = 1 + sum(other > at for other in free[1:])
        yield (
            *(size, came <= free_at, start - free_at, max(at - start, 0.0), working),
            *(returned - at, answered - returned, quiet[query]),
        )
        heapreplace(free, answered)


def _sending(
    run: Mapping[str, np.ndarray], quiet: np.ndarray, instances: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    due, sent = run["arrival_ns"], run["sent_ns"]
    late, gaps = sent - due, np.diff(sent, prepend=sent[0])
    behind = gaps <= late
    behind[0] = False
    running = np.searchsorted(np.sort(run["called_ns"]), due) - np.searchsorted(np.sort(run["answered_ns"]), due)
    slept = quiet & ~behind
    # the sender does not sleep for the last microseconds, and is a bit early then
    return np.maximum(late[slept], 0), (running >= instances)[slept], gaps[quiet & behind]
