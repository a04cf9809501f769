"""What is remembered of a tensor's values while samples stream through: a range, never the values."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from enxuto.quantization.affine import Range

_LEAST_WIDTH = float(np.finfo(np.float32).tiny)
"""Of a bin: values are divided by it in float32, where anything smaller may be zero."""


class Observer(Protocol):
    def add(self, values: np.ndarray) -> None: ...

    def range(self) -> Range | None:
        """None where nothing finite was seen, or anything that was not."""
        ...


class MinMax:
    """The smallest and the largest value."""

    def __init__(self) -> None:
        self._low, self._high = np.inf, -np.inf

    def add(self, values: np.ndarray) -> None:
        if values.size:
            # numpy's minimum keeps a NaN, the builtin would lose it
            self._low = float(np.minimum(self._low, values.min()))
            self._high = float(np.maximum(self._high, values.max()))

    def range(self) -> Range | None:
        return Range(self._low, self._high) if np.isfinite([self._low, self._high]).all() else None


class Histogram:
    """Counts in bins of equal width on both sides of zero; the width doubles whenever a value falls outside.

    Memory is the same however many samples come, and so is the order of magnitude of the error: a quantile is found
    to within one bin, which is at most 1/1024 of the largest magnitude.
    """

    bins = 2048
    """On each side of zero. Even, so that two neighbours always merge into one."""

    def __init__(self, percentile: float) -> None:
        self._percentile = percentile
        self._counts = np.zeros(2 * self.bins, dtype=np.int64)
        self._width = 0.0
        self._zeros = 0
        """Seen before there was any other value to take a width from."""
        self._extremes = MinMax()

    def add(self, values: np.ndarray) -> None:
        self._extremes.add(values)
        reach = float(np.abs(values).max(initial=0.0))
        if not np.isfinite(reach):
            return
        if reach == 0.0 and self._width == 0.0:
            self._zeros += values.size
            return
        self._cover(reach)
        positions = np.floor(values.ravel() / np.float32(self._width)).astype(np.int32) + self.bins
        np.clip(positions, 0, 2 * self.bins - 1, out=positions)
        self._counts += np.bincount(positions, minlength=2 * self.bins)

    def range(self) -> Range | None:
        extremes = self._extremes.range()
        if extremes is None:
            return None
        tail = (100 - self._percentile) / 200
        low, high = self.quantile(tail), self.quantile(1 - tail)
        return Range(max(low, extremes.low), min(high, extremes.high))

    def quantile(self, share: float) -> float:
        """Linear within a bin."""
        counts = self._counts.copy()
        counts[self.bins] += self._zeros
        below = np.concatenate([[0], np.cumsum(counts)])
        wanted = share * below[-1]
        position = int(np.searchsorted(below, wanted, side="left"))
        position = min(max(position, 1), len(counts))
        inside = (wanted - below[position - 1]) / max(counts[position - 1], 1)
        return float((position - 1 - self.bins + inside) * self._width)

    def _cover(self, reach: float) -> None:
        if self._width == 0.0:
            self._width = max(reach / self.bins * (1 + 1e-6), _LEAST_WIDTH)
        while reach >= self._width * self.bins:
            self._width *= 2
            merged = self._counts.reshape(-1, 2).sum(axis=1)
            self._counts = np.pad(merged, self.bins // 2)
