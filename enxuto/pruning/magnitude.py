"""Unstructured pruning: weights of smallest magnitude become zero.

Source: Han et al., "Learning both Weights and Connections for Efficient Neural Networks", 2015, without retraining.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from enxuto.graph.weights import array_of, replace_array, weight_uses

Scope = Literal["layer", "global"]


@dataclass(frozen=True)
class Pruned:
    weights: int
    """Elements looked at."""
    zeros_before: int
    zeros: int
    deflated_before_bytes: int
    """What these weights take when they are compressed."""
    deflated_bytes: int


def prunable(model: ir.Model, *, embeddings: bool = False) -> list[ir.Value]:
    """Each weight once, however many nodes share it."""
    return list({id(use.weight): use.weight for use in weight_uses(model.graph, embeddings=embeddings)}.values())


def prune(
    model: ir.Model, *, ratio: float | None, threshold: float | None, scope: Scope, embeddings: bool = False
) -> Pruned:
    """Edit a normalized model in place."""
    values = prunable(model, embeddings=embeddings)
    before = [array_of(value) for value in values]
    if threshold is not None:
        masks = [np.abs(array) < threshold for array in before]
    elif scope == "layer":
        masks = [smallest([array], ratio or 0.0)[0] for array in before]
    else:
        masks = smallest(before, ratio or 0.0)
    after = [np.where(mask, array.dtype.type(0), array) for mask, array in zip(masks, before, strict=True)]
    for value, array in zip(values, after, strict=True):
        replace_array(value, array)
    return Pruned(
        weights=sum(array.size for array in before),
        zeros_before=_zeros(before),
        zeros=_zeros(after),
        deflated_before_bytes=_deflated_bytes(before),
        deflated_bytes=_deflated_bytes(after),
    )


def smallest(arrays: list[np.ndarray], ratio: float) -> list[np.ndarray]:
    """Masks of exactly ``round(ratio · elements)`` elements of smallest magnitude, over all arrays together.

    Among equal magnitudes the first ones in the arrays' order are taken. NaN counts as larger than everything.
    """
    magnitudes = np.concatenate([np.abs(array).astype(np.float32).ravel() for array in arrays])
    wanted = round(ratio * magnitudes.size)
    chosen = np.zeros(magnitudes.size, dtype=bool)
    if wanted:
        largest = np.partition(magnitudes, wanted - 1)[wanted - 1]
        chosen = magnitudes < largest
        equal = np.flatnonzero(magnitudes == largest)
        chosen[equal[: wanted - np.count_nonzero(chosen)]] = True
    ends = np.cumsum([array.size for array in arrays])[:-1]
    return [part.reshape(array.shape) for part, array in zip(np.split(chosen, ends), arrays, strict=True)]


def _zeros(arrays: list[np.ndarray]) -> int:
    return sum(array.size - int(np.count_nonzero(array)) for array in arrays)


def _deflated_bytes(arrays: list[np.ndarray]) -> int:
    return sum(len(zlib.compress(array.tobytes(), level=1)) for array in arrays)
