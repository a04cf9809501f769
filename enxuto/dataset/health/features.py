"""A few numbers that describe a sample, so that samples are compared and not their elements, which go together."""

from __future__ import annotations

import numpy as np

from enxuto.signature import TensorSpec

_MOST_COLUMNS = 64
_MOST_CHANNELS = 4


def features(spec: TensorSpec, array: np.ndarray) -> dict[str, np.ndarray]:
    """float64 [samples] each, by what they are called."""
    if array.dtype.kind in "biu" and array.ndim <= 2:
        return _of_numbers(array.reshape(len(array), -1))
    if array.ndim == 2 and array.shape[1] <= _MOST_COLUMNS:
        return {f"column {at}": array[:, at].astype(np.float64) for at in range(array.shape[1])}
    if array.ndim == 1:
        return {"the value": array.astype(np.float64)}
    found = {}
    whole = array.reshape(len(array), -1).mean(axis=1, dtype=np.float64)
    parts = _channels(array)
    for name, part in parts.items():
        flat = part.reshape(len(part), -1).astype(np.float64)
        found[f"the mean of {name}"] = flat.mean(axis=1)
        found[f"the spread of {name}"] = flat.std(axis=1)
        if len(parts) > 1:
            found[f"the mean of {name} over that of all"] = flat.mean(axis=1) - whole
    return found


def is_whole(flat: np.ndarray) -> bool:
    if flat.dtype.kind in "biu":
        return True
    with np.errstate(invalid="ignore"):
        return bool((np.rint(flat) == flat).all())


def _of_numbers(flat: np.ndarray) -> dict[str, np.ndarray]:
    """Of identifiers: how long a sample is without its padding of zeros, and how varied."""
    used = flat != 0
    ordered = np.sort(flat, axis=1)
    different = 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)
    found = {"the share of entries that are not 0": used.mean(axis=1)}
    return found | {"the share of different entries": different / flat.shape[1]}


def _channels(array: np.ndarray) -> dict[str, np.ndarray]:
    """Of images, by the axis that is short enough to be the channels'."""
    for axis in (1, array.ndim - 1):
        if array.ndim == 4 and 1 < array.shape[axis] <= _MOST_CHANNELS:
            parts = np.moveaxis(array, axis, 0)
            return {f"channel {at}": part for at, part in enumerate(parts)}
    return {"a sample": array}
