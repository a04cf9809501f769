"""The range whose quantized distribution diverges least from the real one.

Source: Migacz, "8-bit Inference with TensorRT", GTC 2017, in the form that onnxruntime's ``HistogramCollector`` gives
it: symmetric around zero, 128 quantized bins, what lies outside counted into the outermost bins, and distributions
smoothed by 1e-4. With as few bins as quantized ones, nothing is left to be chosen: there have to be thousands.
"""

from __future__ import annotations

import numpy as np

from enxuto.quantization.affine import Range
from enxuto.quantization.histogram import Histogram

_LEVELS = 128
_SMOOTHING = 1e-4
_STRIDE = 4
"""Bins from one candidate to the next. Trying all takes four times as long and moves a threshold by a percent."""


def least_divergence(histogram: Histogram) -> Range:
    """Symmetric around zero, on bounds of bins."""
    counts = histogram.counts
    used = np.flatnonzero(counts)
    if not len(used) or not histogram.width:
        return Range(0.0, 0.0)
    half = int(max(histogram.bins - used[0], used[-1] + 1 - histogram.bins))
    kept = counts[histogram.bins - half : histogram.bins + half].astype(np.float64)
    if 2 * half < _LEVELS:
        return Range(-half * histogram.width, half * histogram.width)
    best = min(_candidates(half), key=lambda reach: divergence(kept, reach))
    return Range(-best * histogram.width, best * histogram.width)


def divergence(counts: np.ndarray, reach: int, levels: int = _LEVELS) -> float:
    """Kullback-Leibler, in nats, of counts cut off ``reach`` bins from their middle against the same in few levels.

    As onnxruntime has it to the last detail: one bin more at the upper end, levels rounded down to whole counts, and
    bins that do not fill a level left empty.
    """
    middle = len(counts) // 2
    start, end = middle - reach, min(middle + reach + 1, len(counts))
    inside = counts[start:end].astype(np.float64)
    real = inside.copy()
    real[0] += counts[:start].sum()
    real[-1] += counts[end:].sum()
    each = len(inside) // levels
    whole = each * levels
    taken = real[:whole].reshape(levels, each) != 0
    sums = inside[:whole].reshape(levels, each).sum(axis=1)
    sums[-1] += inside[whole:].sum()
    few = np.zeros_like(real)
    filled = taken.sum(axis=1)
    means = np.floor(np.divide(sums, filled, out=np.zeros(levels), where=filled > 0))
    few[:whole] = np.repeat(means, each)
    return _divergence(_smoothed(real), _smoothed(few))


def _divergence(real: np.ndarray | None, few: np.ndarray | None) -> float:
    if real is None or few is None:
        return np.inf
    real, few = real / real.sum(), few / few.sum()
    return float(np.sum(real * np.log(real / few)))


def _smoothed(counts: np.ndarray) -> np.ndarray | None:
    """Counts without zeros; None where too few are positive to take from."""
    zero = counts == 0
    zeros, others = int(zero.sum()), int((~zero).sum())
    if not others:
        return None
    taken = _SMOOTHING * zeros / others
    if taken >= 1:
        return None
    smoothed: np.ndarray = np.where(zero, _SMOOTHING, counts - taken)
    return smoothed if (smoothed > 0).all() else None


def _candidates(half: int) -> range:
    """How many bins on each side to keep: all, or fewer, down to one for each level."""
    return range(half, min(_LEVELS // 2, half) - 1, -_STRIDE)
