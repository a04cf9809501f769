"""Weights in few bits: rounding to nearest, with one scale for each block of neighbours."""

from __future__ import annotations

import numpy as np

_SHRINKS = (1.0, 0.95, 0.9, 0.85, 0.8)
"""Of the largest magnitude. With 16 levels, cutting off a little often loses less than wider steps do."""
_SMALLEST_SCALE = np.float32(np.finfo(np.float32).tiny)


def quantize_blocks(values: np.ndarray, bits: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Integers (int8) and scales of float32 values, one scale for all along ``axis``; zero stays exactly zero."""
    peaks = _signed_peaks(values, axis)
    if bits == 8:
        return _rounded(values, _usable(np.abs(peaks) / np.float32(127)), 127, 127)
    lowest, highest = 2 ** (bits - 1), 2 ** (bits - 1) - 1
    best, least = None, np.full(peaks.shape, np.inf)
    for shrink in _SHRINKS:
        # the side with the largest magnitude has one level more: let that value be the lowest integer
        integers, scales = _rounded(values, _usable(peaks * np.float32(-shrink / lowest)), lowest, highest)
        errors = np.square(integers * scales - values).sum(axis=axis, keepdims=True)
        better = errors < least
        least = np.where(better, errors, least)
        best = (
            (integers, scales)
            if best is None
            else (np.where(better, integers, best[0]), np.where(better, scales, best[1]))
        )
    if best is None:
        raise ValueError("no shrink to try")
    return best


def block_length(length: int, wanted: int) -> int:
    """The largest divisor of ``length`` up to ``wanted``, or all of it where blocks would become too short."""
    divisors = [size for size in range(8, wanted + 1) if length % size == 0]
    return max(divisors, default=length)


def _signed_peaks(values: np.ndarray, axis: int) -> np.ndarray:
    """The value of largest magnitude, with its sign."""
    positions = np.expand_dims(np.abs(values).argmax(axis=axis), axis)
    return np.take_along_axis(values, positions, axis)


def _usable(scales: np.ndarray) -> np.ndarray:
    return np.where(np.abs(scales) < _SMALLEST_SCALE, np.float32(1.0), scales).astype(np.float32)


def _rounded(values: np.ndarray, scales: np.ndarray, lowest: int, highest: int) -> tuple[np.ndarray, np.ndarray]:
    steps: np.ndarray = np.rint(values / scales)
    return steps.clip(-lowest, highest).astype(np.int8), scales
