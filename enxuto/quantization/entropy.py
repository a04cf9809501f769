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
_STEP = 1.01
"""From one candidate to the next: finer steps find thresholds that differ by less than two samples would make."""


def least_divergence(histogram: Histogram) -> Range:
    """Symmetric around zero, on bounds of bins."""
    counts = histogram.counts
    used = np.flatnonzero(counts)
    if not len(used) or not histogram.width:
        return Range(0.0, 0.0)
    half = int(max(histogram.bins - used[0], used[-1] + 1 - histogram.bins))
    kept = counts[histogram.bins - half : histogram.bins + half].astype(np.float64)
    best = min(_candidates(half), key=lambda reach: divergence(kept, reach))
    return Range(-best * histogram.width, best * histogram.width)


def divergence(counts: np.ndarray, reach: int, levels: int = _LEVELS) -> float:
    """Kullback-Leibler, in nats, of counts cut off ``reach`` bins from their middle against the same in few levels."""
    middle = len(counts) // 2
    inside = counts[middle - reach : middle + reach]
    real = inside.copy()
    real[0] += counts[: middle - reach].sum()
    real[-1] += counts[middle + reach :].sum()
    each = max(len(inside) // levels, 1)
    starts = np.minimum(np.arange(levels) * each, len(inside) - 1)
    taken = real != 0
    sums, bins = np.add.reduceat(inside, starts), np.add.reduceat(taken.astype(np.float64), starts)
    level = np.minimum(np.arange(len(inside)) // each, levels - 1)
    few = np.where(taken, (sums / np.maximum(bins, 1))[level], 0.0)
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


def _candidates(half: int) -> list[int]:
    """How many bins on each side to keep: all, or fewer in steps of a percent, down to one for each level."""
    reach, found = float(half), [half]
    while reach / _STEP >= _LEVELS / 2:
        reach /= _STEP
        if int(reach) != found[-1]:
            found.append(int(reach))
    return found
