"""Half-quadratic quantization: zero points and scales that lose little where most weights are, without any data.

Source: Badri and Shaji, "Half-Quadratic Quantization of Large Machine Learning Models", 2023. It minimizes the p-norm
of the error with p < 1, which lets a few outliers have large errors so that all others have small ones, in two steps
that take turns: a shrunken error for each weight, and the parameters that fit the rest.

The paper's zero points are real numbers and its scales stay as the range gave them. Integer kernels want whole zero
points, and rounding the paper's gives back what it gained (measured: the error of plain rounding, within .2 %). So
zero points are whole at every turn here, and scales are fitted too: the same two steps, with the scale in the second.
"""

from __future__ import annotations

import numpy as np

from enxuto.quantization.blocks import Bits, Blocks, choose, nearest, rounded, storable, whole_zeros

NORM = 0.7
_BETA, _KAPPA = 10.0, 1.01
_TURNS = 20


def half_quadratic(values: np.ndarray, bits: Bits) -> Blocks:
    """Of float32 [rows, blocks, length of a block]: never worse than rounding to nearest, in the norm above."""
    best = nearest(values, bits, symmetric=False)
    scales, zeros = best.scales, whole_zeros(best)
    least = norm_of_errors(values, best.real())
    beta = _BETA
    for _ in range(_TURNS):
        found = rounded(values, scales, zeros, bits)
        real = found.real()
        errors = norm_of_errors(values, real)
        best = choose(errors < least, found, best)
        least = np.minimum(errors, least)
        kept = values - shrunken(values - real, beta)
        zeros = real_zeros(found.integers, kept, scales).round().clip(0, 2**bits - 1)
        scales = _fitted(found.integers - zeros, kept, scales)
        beta *= _KAPPA
    return best


def shrunken(errors: np.ndarray, beta: float) -> np.ndarray:
    """The generalized soft threshold: the proximal step of the p-norm."""
    sizes = np.abs(errors)
    with np.errstate(divide="ignore", over="ignore"):
        thresholds = np.power(sizes, NORM - 1) / np.float32(beta)  # infinite at zero, which stays zero
    result: np.ndarray = np.sign(errors) * np.maximum(sizes - thresholds, 0)
    return result.astype(np.float32)


def real_zeros(integers: np.ndarray, kept: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The paper's zero points: those that best explain what is kept of the weights."""
    zeros: np.ndarray = np.mean(integers - kept / scales, axis=-1, keepdims=True)
    return zeros


def norm_of_errors(values: np.ndarray, real: np.ndarray) -> np.ndarray:
    """To the power of p, of each block."""
    norms: np.ndarray = np.power(np.abs(values - real), NORM).sum(axis=-1, keepdims=True)
    return norms


def _fitted(steps: np.ndarray, kept: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Least squares; a block whose steps are all zero keeps its scale."""
    squares = np.square(steps).sum(axis=-1, keepdims=True)
    fitted = (steps * kept).sum(axis=-1, keepdims=True) / np.maximum(squares, 1)
    return storable(np.where((squares > 0) & (fitted > 0), fitted, scales))
