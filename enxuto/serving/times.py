"""What batches take, for the simulation: measured calls by size and copies at work, and what serving makes of them.

The median of a call is that of the measured curve, of several fresh loads. Behind a batcher the same call takes longer,
the more so after a pause: load runs show how many times as long, batch by batch, and how widely that is spread. Sizes
that hardly occurred in them take what the nearest ones did. A call with fewer copies at work than were ever measured
together takes the time of the next larger number.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np

from enxuto.schema import Digest
from enxuto.serving.traces import Trace, read_trace
from enxuto.steps import BatchCurve, LoadTraces

QUANTILES = 128
_LEVELS = (np.arange(QUANTILES) + 0.5) / QUANTILES
_FEWEST = 20
"""Events of a kind; where there were fewer, those of all kinds stand for it."""
_NEAREST = 150
"""Batches that show what one of some size takes: of that size all, and of the next ones as many as are missing."""
_A_PAUSE = 50
"""Batches that show what a pause of some length does; pauses are told apart by four lengths at most."""
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

    def slower(self, times: float) -> BatchTimes:
        """Where the model takes so many times as long."""
        calls = {
            copies: [[[call * times for call in row] for row in table] for table in tables]
            for copies, tables in self.calls.items()
        }
        return replace(self, calls=calls)

    def pause(self, length: float) -> int:
        return bisect_left(self.pauses, length)


def fixed_times(call_ns: Sequence[float] | np.ndarray, largest: int = 1) -> BatchTimes:
    """Calls of this distribution whatever the size, and a batcher that adds nothing: what theory speaks of."""
    row = [float(value) for value in np.quantile(np.asarray(call_ns, float), _LEVELS)]
    calls, nothing = [row] * (largest + 1), [[0.0] * QUANTILES] * (largest + 1)
    none = [0.0] * QUANTILES
    return BatchTimes({1: [calls]}, [nothing], nothing, [0.0] * (largest + 1), [], none, none, 0.0)


def read_times(
    curves: Sequence[BatchCurve], traces: LoadTraces, files: Mapping[Digest, Path], largest: int
) -> BatchTimes:
    """Times for sizes up to ``largest``; ``curves`` are those of the same number of threads."""
    copies = sorted({curve.instances for curve in curves if curve.instances <= traces.instances})
    measured = {
        count: {curve.batch_size: _calls(curve, files) for curve in curves if curve.instances == count}
        for count in copies
    }
    return _Reader(reduce(add, (_trace(files[file], traces.instances) for file in traces.files)), measured).times(
        largest
    )


def _trace(path: Path, instances: int) -> Trace:
    with np.load(path, allow_pickle=False) as arrays:
        return read_trace(dict(arrays), instances)


def _calls(curve: BatchCurve, files: Mapping[Digest, Path]) -> float:
    """Median of the medians of all loads; a load counts as much as another, however many calls it had."""
    loads = []
    for digest in curve.calls:
        with np.load(files[digest], allow_pickle=False) as arrays:
            loads.append(np.median(np.concatenate([arrays[name] for name in arrays.files])))
    return float(np.median(loads))


@dataclass(frozen=True)
class _Reader:
    trace: Trace
    measured: Mapping[int, Mapping[int, float]]
    """Medians of the curves, by copies and size."""

    def times(self, largest: int) -> BatchTimes:
        trace, company = self.trace, sorted(self.measured)
        waited = _or_all(trace.waited)
        edges = _edges(trace.pause[~trace.waited])
        length = np.where(trace.waited, 0, 1 + np.searchsorted(edges[1:], trace.pause))
        states = [waited, *(_or_all(length == 1 + position) for position in range(len(edges)))]
        ratio = trace.call / [
            _at(self.measured[next((count for count in company if count >= working), company[-1])], size)
            for working, size in zip(trace.working, trace.size, strict=True)
        ]
        shapes = [self._by_size(ratio, state, largest) for state in states]
        return BatchTimes(
            calls={
                count: [[(shape * _at(curve, size)).tolist() for size, shape in enumerate(table)] for table in shapes]
                for count, curve in self.measured.items()
            },
            wakes=[_rows(self._by_size(trace.lead, state, largest)) for state in states],
            turns=_rows(self._by_size(trace.lead, waited, largest)),
            answers=[float(np.median(row)) for row in self._by_size(trace.answer, waited | ~waited, largest)],
            pauses=edges,
            late_idle=_quantiles(trace.late[_or_all(~trace.late_busy)]).tolist(),
            late_busy=_quantiles(trace.late[_or_all(trace.late_busy)]).tolist(),
            send=float(np.median(trace.send)) if trace.send.size >= _FEWEST else 0.0,
        )

    def _by_size(self, values: np.ndarray, state: np.ndarray, largest: int) -> list[np.ndarray]:
        """Quantiles for every size from zero to the largest, of batches in this state."""
        values, sizes = values[state], self.trace.size[state]
        return [_quantiles(values[_nearest(sizes, max(size, 1))]) for size in range(largest + 1)]


def _nearest(sizes: np.ndarray, size: int) -> np.ndarray:
    far = np.abs(np.log(sizes / size))
    near: np.ndarray = far <= np.sort(far)[min(_NEAREST, far.size) - 1]
    return near


def _edges(pauses: np.ndarray) -> list[float]:
    """Where the next longer pause begins: at zero, and wherever as many were shorter as longer."""
    count = max(1, min(4, pauses.size // _A_PAUSE))
    return [0.0, *(float(edge) for edge in np.quantile(pauses, np.arange(1, count) / count))] if pauses.size else [0.0]


def _or_all(chosen: np.ndarray) -> np.ndarray:
    return chosen if chosen.sum() >= min(_FEWEST, chosen.size) else np.ones_like(chosen)


def _rows(table: Sequence[np.ndarray]) -> Table:
    return [row.tolist() for row in table]


def _quantiles(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.quantile(values, _LEVELS) if values.size else np.zeros(QUANTILES)
    return found


def _at(known: Mapping[int, float], size: float) -> float:
    """Between the two measured sizes around it, in proportion; beyond them as at the nearest."""
    sizes = sorted(known)
    return float(np.interp(size, sizes, [known[each] for each in sizes]))
