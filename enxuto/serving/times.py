"""What batches take, for the simulation: measured calls by size and copies at work, and what the batcher adds.

The median of a call is that of the measured curve, and what a call behind the batcher takes more than one in a tight
loop, at the same time and in the same process, comes on top: for batches that follow each other, and for calls after a
pause, by its length. The spread is the wider of the two. Sizes between measured ones are interpolated, quantile by
quantile. A call with fewer copies at work than were ever measured together takes the time of the next larger number.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from enxuto.schema import Digest
from enxuto.steps import BatchCurve, HandlingCurve

QUANTILES = 128
_LEVELS = (np.arange(QUANTILES) + 0.5) / QUANTILES
_FEWEST_LATE = 20
Table = list[list[float]]
"""Nanoseconds by size of batch (from zero, which is never asked for) and quantile."""


@dataclass(frozen=True)
class BatchTimes:
    """For one way to run the copies; everything in nanoseconds."""

    calls: Mapping[int, Sequence[Table]]
    """By copies at work, pause and size: how long the model runs."""
    wakes: Sequence[Table]
    """By pause and size: from a query's coming until an idle instance calls the model."""
    turns: Table
    """By size: from a batch's answer to the call of the next, or from the end of a delay."""
    answers: list[float]
    """By size: from the model's return until the last query is answered."""
    pauses: list[float]
    """Where the next longer pause is nearer, in the order of ``calls``."""
    late_idle: list[float]
    late_busy: list[float]
    """How late queries are sent, by quantile: while some instance is free, and while none is."""
    send: float
    """From one query to the next at least."""

    def carried_per_s(self, instances: int, size: int) -> float:
        """Queries a second, where full batches follow each other in every instance."""
        company = next((copies for copies in sorted(self.calls) if copies >= instances), max(self.calls))
        call = sum(self.calls[company][0][size]) / QUANTILES
        return instances * size / (call + self.around(size)) * 1e9

    def around(self, size: int) -> float:
        """Of a batch, before and after the model runs."""
        return sum(self.turns[size]) / QUANTILES + self.answers[size]

    def python_share(self, rate_per_s: float, size: float) -> float:
        """Share of the time in which some thread runs Python, of which only one can at a time."""
        near = max(1, min(round(size), len(self.answers) - 1))
        return rate_per_s * (self.send + self.around(near) / near) / 1e9

    def pause(self, length: float) -> int:
        return bisect_left(self.pauses, length)


def fixed_times(call_ns: Sequence[float] | np.ndarray, largest: int = 1) -> BatchTimes:
    """Calls of this distribution whatever the size, and a batcher that adds nothing: what theory speaks of."""
    row = [float(value) for value in np.quantile(np.asarray(call_ns, float), _LEVELS)]
    calls, nothing = [row] * (largest + 1), [[0.0] * QUANTILES] * (largest + 1)
    none = [0.0] * QUANTILES
    return BatchTimes({1: [calls]}, [nothing], nothing, [0.0] * (largest + 1), [], none, none, 0.0)


def read_times(
    curves: Sequence[BatchCurve], handling: HandlingCurve, files: Mapping[Digest, Path], largest: int
) -> BatchTimes:
    """Times for sizes up to ``largest``; ``curves`` are those of the same number of threads."""
    with np.load(files[handling.file], allow_pickle=False) as arrays:
        tables = {name: arrays[name] for name in arrays.files}
    measured = {
        instances: {curve.batch_size: _calls(curve, files) for curve in curves if curve.instances == instances}
        for instances in sorted({curve.instances for curve in curves if curve.instances <= handling.instances})
    }
    return _Reader(tables, measured, largest).times()


def _calls(curve: BatchCurve, files: Mapping[Digest, Path]) -> np.ndarray:
    """Of all copies and loads; a load counts as much as another, however many calls it had."""
    loads = []
    for digest in curve.calls:
        with np.load(files[digest], allow_pickle=False) as arrays:
            loads.append(_quantiles(np.concatenate([arrays[name] for name in arrays.files])))
    return _quantiles(np.concatenate(loads))


@dataclass(frozen=True)
class _Reader:
    tables: Mapping[str, np.ndarray]
    measured: Mapping[int, Mapping[int, np.ndarray]]
    """Quantiles of the curves, by copies and size."""
    largest: int

    def times(self) -> BatchTimes:
        first = self.tables["first"]
        pauses = sorted(set(first[:, 2].tolist()))
        by_pause: list[float | None] = [None, *pauses]
        edges = [pauses[0] / 4, *(float(np.sqrt(a * b)) for a, b in pairwise(pauses))]
        late = self.tables["late"]
        return BatchTimes(
            calls={copies: [self._calls(copies, pause) for pause in by_pause] for copies in self.measured},
            wakes=[self._spread("first", 3, pause or pauses[0]) for pause in by_pause],
            turns=self._spread("second", 3, 0),
            # of the first round: at the end of the second one somebody waits, and is woken at its cost
            answers=[float(np.median(row)) for row in self._spread("first", 5, pauses[0])],
            pauses=edges,
            late_idle=_late(late, 0),
            late_busy=_late(late, 1),
            send=self._send(),
        )

    def _send(self) -> float:
        """Per query, of the longest bursts; a single query of its own, where no batch is larger."""
        send = self.tables["send"]
        if not send.size:
            return 0.0
        longest = send[send[:, 0] == send[:, 0].max()]
        return float(np.median(longest[:, 1] / longest[:, 0]))

    def _calls(self, copies: int, pause: float | None) -> Table:
        """The curve's medians, and on top what the batcher's company and the pause before make of a call; the spread
        is the wider of the two."""
        table, length = ("second", 0.0) if pause is None else ("first", pause)
        extra = {size: self._rows(table, 4, size, length) - self._tight(size) for size in self._sizes()}
        curve = self.measured[copies]
        return self._filled({size: _on_top(rows, _at(extra, size)) for size, rows in curve.items()})

    def _spread(self, table: str, column: int, pause: float) -> Table:
        return self._filled({size: self._rows(table, column, size, pause) for size in self._sizes()})

    def _sizes(self) -> list[int]:
        return sorted(set(self.tables["tight"][:, 0].tolist()))

    def _tight(self, size: int) -> float:
        tight = self.tables["tight"]
        return float(np.median(tight[tight[:, 0] == size, 1]))

    def _rows(self, table: str, column: int, size: int, pause: float) -> np.ndarray:
        """With one copy at work: what several at once do to each other is in the curves."""
        rows = self.tables[table]
        return _quantiles(rows[(rows[:, 0] == 1) & (rows[:, 1] == size) & (rows[:, 2] == pause), column])

    def _filled(self, known: Mapping[int, np.ndarray]) -> Table:
        """Every size from zero to the largest."""
        return [np.maximum(_at(known, size), 0.0).tolist() for size in range(self.largest + 1)]


def _late(rows: np.ndarray, busy: int) -> list[float]:
    """Of all queries, where hardly any met the copies in this state."""
    alike = rows[rows[:, 0] == busy, 1]
    late = np.maximum(alike if alike.size >= _FEWEST_LATE else rows[:, 1], 0)  # some are sent a bit too early
    found: list[float] = _quantiles(late).tolist()
    return found


def _on_top(curve: np.ndarray, extra: np.ndarray) -> np.ndarray:
    middle, more = np.median(curve), np.median(extra)
    total: np.ndarray = middle + more + np.maximum(curve - middle, extra - more)
    return total


def _quantiles(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.quantile(values, _LEVELS)
    return found


def _at(known: Mapping[int, np.ndarray | float], size: int) -> np.ndarray:
    """Between the two measured sizes around it, in proportion; beyond them as at the nearest."""
    sizes = sorted(known)
    above = min(bisect_left(sizes, size), len(sizes) - 1)
    below = max(above - 1, 0) if sizes[above] > size else above
    if above == below:
        return np.asarray(known[sizes[above]])
    share = (size - sizes[below]) / (sizes[above] - sizes[below])
    return np.asarray(known[sizes[below]]) * (1 - share) + np.asarray(known[sizes[above]]) * share
