"""Shapes with symbols in them: whether one fits another, and how they are written; light."""

from __future__ import annotations

from collections.abc import Sequence

Shape = list[int | str | None]

SINGLE_NUMBER = "For an input of shape [], store a single number that all samples share, such as np.float32(0.5)."
"""What to do, of data."""


def counts_samples(shape: Sequence[object] | None) -> bool:
    """Whether there is a first axis, which counts samples. What has none is a single number, the same for them all."""
    return shape is None or len(shape) > 0


def axes_fit(wanted: Shape | None, given: Shape, sizes: dict[str, int], *, batch_first: bool) -> bool:
    """Remembers the size of each symbol: one symbol, one size. The batch's axis fits any number of samples."""
    if wanted is None:
        return True
    if len(wanted) != len(given) or not wanted:
        return False
    pairs = list(zip(wanted, given, strict=True))[1 if batch_first else 0 :]
    return all(_axis_fits(axis, size, sizes) for axis, size in pairs)


def _axis_fits(axis: int | str | None, size: int | str | None, sizes: dict[str, int]) -> bool:
    if isinstance(axis, str) and isinstance(size, int):
        return sizes.setdefault(axis, size) == size
    return not isinstance(axis, int) or not isinstance(size, int) or axis == size


def written(shape: Shape | None) -> str:
    if shape is None:
        return "[…]"
    return "[" + ", ".join("?" if axis is None else f"{axis}" for axis in shape) + "]"
