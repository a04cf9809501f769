"""What is remembered of a tensor's values while samples stream through: figures, never the values."""

from __future__ import annotations

from math import gcd

import numpy as np

from enxuto.quantization.affine import Range
from enxuto.quantization.histogram import Histogram
from enxuto.quantization.statistics import Channels, TensorStatistics

_COUNTED = 1 << 17
"""Values of one tensor in one batch that its histogram counts; of more, evenly spread ones."""


class Observer:
    """Figures of one tensor, the extremes exact, in memory that does not grow with the number of samples."""

    def __init__(self, channel_axis: int, *, histogram: bool = True) -> None:
        self._axis = channel_axis
        self._with_histogram = histogram
        self._histogram = Histogram()
        self._not_finite = 0
        self._low = self._high = self._sum = np.zeros(0)
        self._values_a_channel = 0
        self._extremes: Range | None = None
        self._one_channel_count = True

    def add(self, values: np.ndarray) -> None:
        """float32, the first axis counts samples."""
        if not values.size:
            return
        with np.errstate(invalid="ignore"):  # sums of infinities are never used
            low, high, total, each = _by_channel(values, self._axis)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            values = self._without_infinite(values)
            if not values.size:
                return
            self._one_channel_count = False
            low, high = values.min(keepdims=True), values.max(keepdims=True)
        self._widen(float(low.min()), float(high.max()))
        self._merge_channels(low, high, total, each)
        if self._with_histogram:
            reach = max(-float(low.min()), float(high.max()), 0.0)
            self._histogram.add(_evenly_spread(values), reach)

    def result(self) -> TensorStatistics:
        channels = None
        if self._one_channel_count and self._values_a_channel:
            channels = Channels(self._low, self._high, self._sum / self._values_a_channel)
        return TensorStatistics(self._extremes, self._not_finite, self._histogram, self._axis, channels)

    def _without_infinite(self, values: np.ndarray) -> np.ndarray:
        finite = np.isfinite(values)
        self._not_finite += int(values.size - finite.sum())
        kept: np.ndarray = values[finite]
        return kept

    def _widen(self, low: float, high: float) -> None:
        seen = self._extremes
        self._extremes = Range(min(seen.low, low), max(seen.high, high)) if seen else Range(low, high)

    def _merge_channels(self, low: np.ndarray, high: np.ndarray, total: np.ndarray, each: int) -> None:
        if not self._one_channel_count:
            return
        if not self._values_a_channel:
            self._low, self._high, self._sum = low.astype(np.float64), high.astype(np.float64), total
        elif len(low) == len(self._low):
            self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)
            self._sum = self._sum + total
        else:
            self._one_channel_count = False
        self._values_a_channel += each


def _by_channel(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Smallest, largest and sum (float64) of each channel, and how many values each has."""
    if values.ndim == 0 or (axis == 1 and values.ndim < 2):
        flat = values.reshape(1, -1)
        return flat.min(axis=1), flat.max(axis=1), flat.sum(axis=1, dtype=np.float64), flat.shape[1]
    if axis == 1 and values.ndim > 2:
        rows = values.reshape(values.shape[0], values.shape[1], -1)
        sums = rows.sum(axis=2).sum(axis=0, dtype=np.float64)
        return rows.min(axis=2).min(axis=0), rows.max(axis=2).max(axis=0), sums, values.size // values.shape[1]
    table = values.reshape(-1, values.shape[-1])
    return table.min(axis=0), table.max(axis=0), table.sum(axis=0, dtype=np.float64), len(table)


def _evenly_spread(values: np.ndarray) -> np.ndarray:
    """Every n-th value, where n has no factor in common with any axis, so that no channel is passed over."""
    step = -(-values.size // _COUNTED)
    while any(gcd(step, length) > 1 for length in values.shape if step > 1):
        step += 1
    return values.reshape(-1)[::step]
