"""A histogram that grows while values stream through: what percentile, entropy and squared error are read from."""

from __future__ import annotations

import numpy as np

_LEAST_WIDTH = float(np.finfo(np.float32).tiny)
"""Of a bin: values are divided by it in float32, where anything smaller may be zero."""


class Histogram:
    """Counts in bins of equal width on both sides of zero; the width doubles whenever a value falls outside.

    Memory is the same however many values come, and so is the order of magnitude of the error: the largest magnitude
    fills between half and all of the bins on its side, so that a bin is at most 1/1024 of it.
    """

    bins = 2048
    """On each side of zero. Even, so that two neighbours always merge into one."""

    def __init__(self, width: float = 0.0, counts: np.ndarray | None = None, zeros: int = 0) -> None:
        self.width = width
        """Of a bin; 0 while no value but zero was seen."""
        self._counts = np.zeros(2 * self.bins, dtype=np.int64) if counts is None else counts.astype(np.int64)
        self._zeros = zeros
        """Seen before there was any other value to take a width from."""

    @property
    def counts(self) -> np.ndarray:
        """int64, twice ``bins``: bin ``i`` holds values from ``(i − bins) · width`` on."""
        counts = self._counts.copy()
        counts[self.bins] += self._zeros
        return counts

    def add(self, values: np.ndarray, reach: float) -> None:
        """Finite float32 values, none of which has a magnitude above ``reach``."""
        if reach == 0.0 and self.width == 0.0:
            self._zeros += values.size
            return
        self._cover(reach)
        positions = values.ravel() * np.float32(1 / self.width) if self.width > 1e-30 else values.ravel() / self.width
        positions += np.float32(self.bins)  # positive from here on, where cutting off is rounding down
        whole = positions.astype(np.int64)
        np.clip(whole, 0, 2 * self.bins - 1, out=whole)
        self._counts += np.bincount(whole, minlength=2 * self.bins)

    def quantile(self, share: float) -> float:
        """The value below which this share of all values lies; linear within a bin."""
        counts = self.counts
        below = np.concatenate([[0], np.cumsum(counts)])
        wanted = share * below[-1]
        position = int(np.searchsorted(below, wanted, side="left"))
        position = min(max(position, 1), len(counts))
        inside = (wanted - below[position - 1]) / max(counts[position - 1], 1)
        return float((position - 1 - self.bins + inside) * self.width)

    def _cover(self, reach: float) -> None:
        if self.width == 0.0:
            self.width = max(reach / self.bins * (1 + 1e-6), _LEAST_WIDTH)
        while reach >= self.width * self.bins:
            self.width *= 2
            merged = self._counts.reshape(-1, 2).sum(axis=1)
            self._counts = np.pad(merged, self.bins // 2)
