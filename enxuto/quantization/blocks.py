"""Weights in few bits: rounding to nearest, with a scale, and a zero point if wanted, for each block of neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Bits = Literal[8, 4]

_SHRINKS = (1.0, 0.95, 0.9, 0.85, 0.8)
"""Of the range. With 16 levels, cutting off a little often loses less than wider steps do."""
_SMALLEST_SCALE = np.float32(np.finfo(np.float32).tiny)
_SMALLEST_HALF = np.float32(np.finfo(np.float16).tiny)
_LARGEST_HALF = np.float32(2**15)


@dataclass(frozen=True)
class Blocks:
    """``real = scale · (integer − zero point)``, for a matrix whose rows are cut into blocks."""

    bits: Bits
    integers: np.ndarray
    """uint8 [rows, blocks, length of a block]."""
    scales: np.ndarray
    """float32 [rows, blocks, 1]; negative ones are fine. Where all of them fit, they are numbers of float16."""
    zero_points: np.ndarray | None
    """uint8 [rows, blocks, 1]; None: ``middle`` everywhere."""

    @property
    def middle(self) -> int:
        return int(2 ** (self.bits - 1))

    def real(self) -> np.ndarray:
        """float32 [rows, blocks, length of a block]."""
        real: np.ndarray = (self.integers.astype(np.float32) - whole_zeros(self)) * self.scales
        return real


def whole_zeros(blocks: Blocks) -> np.ndarray:
    """Zero points as float32 [rows, blocks, 1]."""
    if blocks.zero_points is None:
        return np.full_like(blocks.scales, blocks.middle)
    return blocks.zero_points.astype(np.float32)


def in_blocks(matrix: np.ndarray, size: int) -> np.ndarray:
    """[rows, length] as [rows, blocks, size], filled up with zeros."""
    rows, length = matrix.shape
    count = -(-length // size)
    return np.pad(matrix, ((0, 0), (0, count * size - length))).reshape(rows, count, size)


def nearest(values: np.ndarray, bits: Bits, *, symmetric: bool) -> Blocks:
    """Rounded to nearest; zero stays exactly zero.

    Args:
        values: float32 [rows, blocks, length of a block], finite.
        bits: 8, or 4: then each block takes the best of five clippings by squared error.
        symmetric: one zero point for all, in the middle.
    """
    best = _clipped(values, bits, 1.0, symmetric=symmetric)
    if bits == 8:
        return best
    least = _squared_error(best, values)
    for shrink in _SHRINKS[1:]:
        other = _clipped(values, bits, shrink, symmetric=symmetric)
        errors = _squared_error(other, values)
        best = choose(errors < least, other, best)
        least = np.minimum(errors, least)
    return best


def choose(first: np.ndarray, one: Blocks, other: Blocks) -> Blocks:
    """The blocks of ``one`` where ``first`` [rows, blocks, 1] says so, else those of the other."""
    zeros = None
    if one.zero_points is not None and other.zero_points is not None:
        zeros = np.where(first, one.zero_points, other.zero_points)
    return Blocks(
        one.bits, np.where(first, one.integers, other.integers), np.where(first, one.scales, other.scales), zeros
    )


def joined(parts: Sequence[Blocks]) -> Blocks:
    """Rows of several as those of one."""
    zeros = [part.zero_points for part in parts if part.zero_points is not None]
    return Blocks(
        parts[0].bits,
        np.concatenate([part.integers for part in parts]),
        np.concatenate([part.scales for part in parts]),
        np.concatenate(zeros) if zeros else None,
    )


def rounded(values: np.ndarray, scales: np.ndarray, zeros: np.ndarray | None, bits: Bits) -> Blocks:
    """To the nearest of the levels that scales and zero points (whole numbers) leave."""
    middle = np.float32(2 ** (bits - 1)) if zeros is None else zeros
    integers = np.rint(values / scales + middle).clip(0, 2**bits - 1).astype(np.uint8)
    return Blocks(bits, integers, scales, None if zeros is None else zeros.astype(np.uint8))


def storable(scales: np.ndarray) -> np.ndarray:
    """Usable as divisors, and numbers of float16 where the range of float16 holds all of them."""
    usable = np.where(np.abs(scales) < _SMALLEST_SCALE, np.float32(1.0), scales).astype(np.float32)
    sizes = np.abs(usable)
    fits = bool((sizes >= _SMALLEST_HALF).all() and (sizes <= _LARGEST_HALF).all())
    return usable.astype(np.float16).astype(np.float32) if fits else usable


def range_levels(values: np.ndarray, bits: Bits, shrink: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Scales and zero points (whole numbers, float32) that spread all levels from the lowest to the highest value."""
    low = np.minimum(values.min(axis=-1, keepdims=True), 0) * np.float32(shrink)
    high = np.maximum(values.max(axis=-1, keepdims=True), 0) * np.float32(shrink)
    scales = storable((high - low) / np.float32(2**bits - 1))
    return scales, np.rint(-low / scales).clip(0, 2**bits - 1).astype(np.float32)


def fitting_block(length: int, wanted: int) -> int:
    """The largest power of two from 16 to ``wanted`` that fills rows up by less than an eighth, else 16."""
    sizes = [size for size in (16, 32, 64, 128, 256) if size <= wanted and -length % size * 8 < length]
    return max(sizes, default=16)


def block_length(length: int, wanted: int) -> int:
    """The largest divisor of ``length`` up to ``wanted``, or all of it where blocks would become too short."""
    divisors = [size for size in range(8, wanted + 1) if length % size == 0]
    return max(divisors, default=length)


def _clipped(values: np.ndarray, bits: Bits, shrink: float, *, symmetric: bool) -> Blocks:
    if not symmetric:
        return rounded(values, *range_levels(values, bits, shrink), bits)
    peaks = _signed_peaks(values) * np.float32(shrink)
    if bits == 8:
        return rounded(values, storable(np.abs(peaks) / np.float32(127)), None, bits)
    # the side with the largest magnitude has one level more: let that value be the lowest integer
    return rounded(values, storable(peaks / np.float32(-8)), None, bits)


def _squared_error(blocks: Blocks, values: np.ndarray) -> np.ndarray:
    errors: np.ndarray = np.square(blocks.real() - values).sum(axis=-1, keepdims=True)
    return errors


def _signed_peaks(values: np.ndarray) -> np.ndarray:
    """The value of largest magnitude, with its sign."""
    positions = np.expand_dims(np.abs(values).argmax(axis=-1), -1)
    return np.take_along_axis(values, positions, -1)
