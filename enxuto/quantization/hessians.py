"""What GPTQ must know of the inputs of matrix products: the sum of xᵀx over all of them, taken in a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import onnx_ir as ir

from enxuto.errors import BadInput, NotApplicable
from enxuto.graph.feeds import filled
from enxuto.graph.inner import exposed
from enxuto.graph.loaded import load_edited
from enxuto.runtimes import LoadedModel
from enxuto.signature import fixed_batch
from enxuto.techniques.base import Batches, Context

_HESSIAN_BYTES = 256 << 20
"""For those that are gathered at once."""
_BATCH_BYTES = 64 << 20
"""For the tensors of one batch."""
_LARGEST_BATCH = 32
_MOST_SAMPLES = 256


def hessians(model: ir.Model, widths: Mapping[str, int], context: Context) -> Iterator[tuple[str, np.ndarray]]:
    """Of tensors by name, each float64 [width, width], in an order of their own.

    As many at once as fit into the memory set aside, so that samples are read once for most models. Inputs are those
    of the floating-point model. Positions that a mask among the model's inputs marks with 0 are left out: they are
    padding, and nobody looks at what is computed from them.

    Raises:
        NotApplicable: there is no sample (``calibration_data_missing``).
        BadInput: the model does not run on them.
    """
    if context.calibration is None or context.calibration.count == 0:
        raise NotApplicable(
            "GPTQ weighs errors by the inputs of each layer, and there are no samples to take them from.",
            code="calibration_data_missing",
            hint='Give a dataset with at least one sample, or use the method "hqq", which needs none.',
        )
    for names in _affordable(widths):
        found = {name: np.zeros((widths[name], widths[name])) for name in names}
        for name, values in _streamed(model, names, context.calibration, context):
            found[name] += (values.T @ values).astype(np.float64)
        yield from found.items()


def _affordable(widths: Mapping[str, int]) -> Iterator[list[str]]:
    group: list[str] = []
    held = 0
    for name, width in widths.items():
        needed = 8 * width * width
        if group and held + needed > _HESSIAN_BYTES:
            yield group
            group, held = [], 0
        group.append(name)
        held += needed
    if group:
        yield group


def _streamed(
    model: ir.Model, names: Sequence[str], batches: Batches, context: Context
) -> Iterator[tuple[str, np.ndarray]]:
    """Rows of each tensor, float32 [positions, width], batch by batch."""
    loaded = load_edited(exposed(model, names), context.scratch)
    fixed = fixed_batch(loaded.inputs)
    size = fixed or _batch_size(loaded, next(iter(batches(1))))
    for feeds in islice(batches(size), -(-_MOST_SAMPLES // size)):
        given = filled(feeds, fixed) if fixed else feeds
        arrays = _tensors(loaded, given)
        for name in names:
            yield name, _rows(arrays[name], given)


def _tensors(loaded: LoadedModel, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    outputs = zip(loaded.outputs, loaded.run(feeds), strict=True)
    return {**feeds, **{spec.name: array for spec, array in outputs}}


def _batch_size(loaded: LoadedModel, sample: Mapping[str, np.ndarray]) -> int:
    """So that the tensors of a batch fit into the memory set aside."""
    needed = sum(array.nbytes for array in loaded.run(sample))
    return min(max(_BATCH_BYTES // max(needed, 1), 1), _LARGEST_BATCH)


def _rows(values: np.ndarray, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
    kept = _kept(values, feeds)
    rows = values.reshape(-1, values.shape[-1]) if kept is None else values[kept]
    if not np.isfinite(rows).all():
        raise BadInput(
            "The inputs of a matrix product are not finite on calibration samples.",
            code="values_not_finite",
            hint="Check the samples, or run the original model on them.",
        )
    # A copy, always: an output that outlives its session keeps room for all that a call computed (record 44).
    return rows.astype(np.float32)


def _kept(values: np.ndarray, feeds: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Which positions a mask keeps; None where there is no mask over these positions."""
    for name, mask in feeds.items():
        whole = mask.dtype.kind in "biu" and "mask" in name.lower()
        if whole and mask.ndim == 2 and values.ndim == 3 and mask.shape == values.shape[:2] and mask.any():
            kept: np.ndarray = mask != 0
            return kept
    return None
