"""Stored samples into a model's input, one batch at a time, in float32."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from enxuto.preprocessing import InputPreprocessing


def preprocess(batch: np.ndarray, how: InputPreprocessing) -> np.ndarray:
    """``transpose((x · scale − mean) / std)``, contiguous. A single number is a channel by itself."""
    values = batch.astype(np.float32)
    values *= np.float32(how.scale)
    values -= _along_channels(how.mean, how.from_, batch.ndim)
    values /= _along_channels(how.std, how.from_, batch.ndim)
    if how.from_ and how.to:
        values = values.transpose([how.from_.index(axis) for axis in how.to])
    return np.asarray(values, order="C")


def _along_channels(numbers: list[float], layout: str | None, axes: int) -> np.ndarray:
    channel = layout.index("C") if layout and "C" in layout else axes - 1
    shape = [len(numbers) if axis == channel else 1 for axis in range(axes)]
    return np.asarray(numbers, np.float32).reshape(shape)


def as_input(values: np.ndarray, dtype: str) -> np.ndarray:
    """What was computed or widened in float32 becomes the float type that the input has; all else stays as stored."""
    if values.dtype != np.float32 or dtype not in ("float16", "float64", "bfloat16"):
        return values
    return values.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
