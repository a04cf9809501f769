"""The arithmetic of affine quantization: ``real = scale · (integer − zero_point)``.

Source: ONNX QuantizeLinear and DequantizeLinear; Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

ActivationType = Literal["uint8", "int8"]

_SMALLEST_SCALE = float(np.finfo(np.float32).tiny) * 256
_LARGEST_BIAS = 2**31 - 2**8
"""Below the end of int32, so that float32 rounding cannot cross it."""


SMALLEST_PEAK = 1e-30
"""Where all numbers are smaller, steps between them, and products of such steps, come near the end of float32, below
which it loses digits and runtimes take numbers for zero."""
WEIGHT_LIMIT = 127
"""Of an int8 weight's magnitude."""
_PAIR_LIMIT = 127
"""Of the sum of two weights: rounded, they sum up to 128 at most, and 255 · 128 still fits into 16 bits."""


@dataclass(frozen=True)
class Range:
    """Of real values."""

    low: float
    high: float


@dataclass(frozen=True)
class Affine:
    """How a tensor is quantized as a whole."""

    scale: np.ndarray
    """float32, a scalar."""
    zero_point: np.ndarray
    """uint8 or int8, a scalar."""

    def quantize(self, array: np.ndarray) -> np.ndarray:
        limits = np.iinfo(self.zero_point.dtype)
        rounded: np.ndarray = np.rint(array / self.scale) + self.zero_point.astype(np.float32)
        return rounded.clip(limits.min, limits.max).astype(self.zero_point.dtype)


def takes_integers(array: np.ndarray) -> bool:
    """Whether integers can stand for these numbers: there are some, all finite, and not all next to nothing.

    Zeros alone can: their integers are zero, whatever the scale.
    """
    if not array.size or not np.isfinite(array).all():
        return False
    peak = max(float(array.max()), -float(array.min()))
    return peak == 0 or peak >= SMALLEST_PEAK


def for_range(values: Range, dtype: ActivationType) -> Affine:
    """Of 256 levels, one of which is exactly zero: padding and ReLU rely on it."""
    kind = np.dtype(dtype)
    smallest = int(np.iinfo(kind).min)
    low, high = min(values.low, 0.0), max(values.high, 0.0)
    scale = np.float32((high - low) / 255)
    if scale < _SMALLEST_SCALE:
        scale = np.float32(1.0)
    zero_point = np.clip(np.rint(smallest - low / float(scale)), smallest, smallest + 255)
    return Affine(np.array(scale, dtype=np.float32), np.array(zero_point).astype(kind))


def for_signed_range(values: Range) -> Affine:
    """int8 with zero for zero, within ±127."""
    scale = np.float32(max(-values.low, values.high, 0.0) / WEIGHT_LIMIT)
    if scale < _SMALLEST_SCALE:
        scale = np.float32(1.0)
    return Affine(np.array(scale, dtype=np.float32), np.array(0, dtype=np.int8))


def weight_scales(array: np.ndarray, axis: int | None, limit: int) -> np.ndarray:
    """Symmetric scales, one for each index along ``axis`` or one in all, so that integers stay within ± ``limit``.

    A channel of zeros takes the smallest scale of the others: its bias is quantized with it.
    """
    others = None if axis is None else tuple(dim for dim in range(array.ndim) if dim != axis)
    scales = (np.abs(array).max(axis=others, initial=0.0) / limit).astype(np.float32)
    usable = scales >= _SMALLEST_SCALE
    fallback = scales[usable].min() if usable.any() else np.float32(1.0)
    return np.where(usable, scales, fallback).astype(np.float32)


def pair_scales(array: np.ndarray, channel_axis: int, axis: int | None) -> np.ndarray:
    """Scales so that no two weights of an output channel add up to more than 16 bits hold, each times 255.

    What two products meet is the kernel's affair, so the two largest of one sign count. Where one weight towers above
    the others it keeps almost 8 bits; where all are alike, 7 are left, as with ``reduce_range``.
    """
    rows = np.moveaxis(array, channel_axis, 0).reshape(array.shape[channel_axis], -1)
    two = min(2, rows.shape[1])
    highest = np.maximum(np.partition(rows, -two, axis=1)[:, -two:], 0).sum(axis=1)
    lowest = np.maximum(np.partition(-rows, -two, axis=1)[:, -two:], 0).sum(axis=1)
    scales: np.ndarray = (np.maximum(highest, lowest) / _PAIR_LIMIT).astype(np.float32)
    return scales if axis is not None else np.asarray(scales.max(initial=0.0), dtype=np.float32)


def half_scales(scales: np.ndarray) -> np.ndarray:
    """The next float16 above each scale, so that no weight is clipped; as they are where float16 would lose digits.

    They are used as they are stored: what is rounded here costs no accuracy.
    """
    if scales.min(initial=1.0) < np.finfo(np.float16).tiny or scales.max(initial=0.0) > np.finfo(np.float16).max / 2:
        return scales
    near = scales.astype(np.float16)
    return np.where(near.astype(np.float32) < scales, np.nextafter(near, np.float16(np.inf)), near).astype(np.float16)


def quantize_weight(array: np.ndarray, scales: np.ndarray, axis: int | None, limit: int) -> np.ndarray:
    """int8, rounded to nearest even."""
    rounded: np.ndarray = np.rint(array / spread(scales, array.ndim, axis))
    return rounded.clip(-limit, limit).astype(np.int8)


def scales_that_hold(scales: np.ndarray, input_scale: float, bias: np.ndarray) -> np.ndarray:
    """Weight scales, raised where the bias would not fit into int32 at ``input_scale · scale``."""
    needed: np.ndarray = np.abs(bias) / (input_scale * _LARGEST_BIAS)
    held: np.ndarray = np.maximum(scales, needed.astype(np.float32))
    return held


def quantize_bias(bias: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """int32, at the scale of the products that it is added to."""
    rounded: np.ndarray = np.rint(bias.astype(np.float64) / scales)
    return rounded.clip(-(2**31), 2**31 - 1).astype(np.int32)


def spread(scales: np.ndarray, rank: int, axis: int | None) -> np.ndarray:
    """Scales in a shape that broadcasts against a tensor of this rank."""
    if axis is None:
        return scales
    shape = [1] * rank
    shape[axis] = -1
    return scales.reshape(shape)
