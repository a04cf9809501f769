"""Finds the input that tells padding from tokens, by running the model with and without the padding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from enxuto.dataset import feeds_for
from enxuto.errors import BadInput
from enxuto.graph.loaded import load_edited
from enxuto.runtimes import LoadedModel
from enxuto.signature import TensorSpec
from enxuto.techniques.base import Context

_TOLERANCE = 1e-4
"""Of outputs, relative to the largest: sums of another length round in another way."""
_LENGTHS = ((4, 9), (1, 6), (7, 8))
"""Tokens of the longest sample, and with padding."""
_MASK_TYPES = ("int64", "int32", "bool", "float32")


@dataclass(frozen=True)
class Sequences:
    """Inputs [batch, sequence, …] that are cut together."""

    mask: str
    """The input that is 0 at padding."""
    names: tuple[str, ...]
    """Of every input along the same axis, the mask included."""


def sequences_of(model: ir.Model, context: Context) -> Sequences | None:
    """None where no input hides the tail of the others, or where an output is as long as they are.

    Raises BadInput where the model does not run.
    """
    loaded = load_edited(model, context.scratch)
    for candidate in _candidates(loaded):
        if all(_hides(loaded, candidate, context, trial) for trial in range(len(_LENGTHS))):
            return candidate
    return None


def same_outputs(model: ir.Model, other: ir.Model, found: Sequences, context: Context) -> bool:
    """Whether two models agree on samples of different lengths, and on masks with holes in them."""
    try:
        first, second = load_edited(model, context.scratch), load_edited(other, context.scratch)
        for trial, (tokens, length) in enumerate(_LENGTHS):
            whole = _feeds(first, found, context, trial, length)
            for feeds in (_masked(whole, found, tokens), _with_holes(whole, found)):
                if not all(_same(*pair) for pair in zip(first.run(feeds), second.run(feeds), strict=True)):
                    return False
    except BadInput:
        return False
    return True


def _candidates(loaded: LoadedModel) -> Iterator[Sequences]:
    for spec in loaded.inputs:
        axis = spec.shape[1] if spec.shape is not None and len(spec.shape) == 2 else None
        if not isinstance(axis, str) or spec.dtype not in _MASK_TYPES:
            continue
        along = tuple(one.name for one in loaded.inputs if one.shape and axis in one.shape)
        fits = all(_axis_of(one, axis) in (None, [1]) for one in loaded.inputs)
        written = any(one.shape is None or axis in one.shape for one in loaded.outputs)
        if fits and not written:
            yield Sequences(spec.name, along)


def _axis_of(spec: TensorSpec, axis: str) -> list[int] | None:
    found = [position for position, one in enumerate(spec.shape or ()) if one == axis]
    return found or None


def _hides(loaded: LoadedModel, found: Sequences, context: Context, trial: int) -> bool:
    """Whether outputs stay as they are when what the mask calls padding is cut off."""
    tokens, length = _LENGTHS[trial]
    try:
        padded = _masked(_feeds(loaded, found, context, trial, length), found, tokens)
        cut = {name: array[:, :tokens] if name in found.names else array for name, array in padded.items()}
        expected, given = loaded.run(padded), loaded.run(cut)
    except BadInput:
        return False
    return all(_same(one, other) for one, other in zip(expected, given, strict=True))


def _masked(feeds: dict[str, np.ndarray], found: Sequences, tokens: int) -> dict[str, np.ndarray]:
    """The first sample has so many tokens, each of the others one fewer."""
    mask = np.zeros_like(feeds[found.mask])
    for row in range(len(mask)):
        mask[row, : max(1, tokens - row)] = 1
    return {**feeds, found.mask: mask}


def _with_holes(feeds: dict[str, np.ndarray], found: Sequences) -> dict[str, np.ndarray]:
    """Every other token is padding: a model that counts tokens to find its last one then reads padding."""
    mask = feeds[found.mask]
    rows, columns = np.indices(mask.shape)
    return {**feeds, found.mask: ((rows + columns) % 2).astype(mask.dtype)}


def _feeds(loaded: LoadedModel, found: Sequences, context: Context, trial: int, length: int) -> dict[str, np.ndarray]:
    """Samples of the calibration where there are any, so that tokens differ, brought to a length."""
    if context.calibration is not None and context.calibration.count:
        feeds = dict(next(iter(context.calibration(3))))
    else:
        feeds = dict(feeds_for(loaded.inputs, context.workload, None, context.seed + trial))
    return {
        name: np.take(array, np.arange(length) % array.shape[1], axis=1) if name in found.names else array
        for name, array in feeds.items()
    }


def _same(expected: np.ndarray, given: np.ndarray) -> bool:
    if expected.shape != given.shape:
        return False
    if expected.dtype.kind != "f":
        return bool(np.array_equal(expected, given))
    reach = float(np.abs(expected).max(initial=1e-30))
    return bool(np.isfinite(expected).all()) and np.allclose(given, expected, rtol=0, atol=_TOLERANCE * reach)
