"""One batch to run a model on, from data where there is any and at random where there is none."""

from __future__ import annotations

from collections.abc import Sequence

import ml_dtypes
import numpy as np

from enxuto.dataset.batches import SampleBatches
from enxuto.errors import BadInput
from enxuto.signature import TensorSpec, fixed_batch
from enxuto.workload import Workload


def feeds_for(
    inputs: Sequence[TensorSpec], workload: Workload, samples: SampleBatches | None, seed: int
) -> dict[str, np.ndarray]:
    """A batch of the workload's size, or of the model's where its batch axis is fixed; too few samples are repeated.

    Without data, a symbolic axis is as long as ``workload.dims`` says, else 1; one that leads an input is the batch.

    Raises:
        BadInput: an input takes what cannot be drawn at random.
    """
    batch_size = fixed_batch(inputs) or workload.batch_size
    if samples is not None and samples.count:
        return samples.take(np.arange(batch_size) % samples.count)
    random = np.random.default_rng(seed)
    sizes = {**workload.dims, **dict.fromkeys(_batch_symbols(inputs), batch_size)}
    return {spec.name: _draw(random, spec, input_shape(spec, batch_size, sizes)) for spec in inputs}


def input_shape(spec: TensorSpec, batch_size: int, sizes: dict[str, int]) -> list[int]:
    """A number for every axis; an unknown rank is taken for one axis."""
    shape = [None] if spec.shape is None else spec.shape
    return [
        axis if isinstance(axis, int) else sizes.get(axis or "", batch_size if position == 0 else 1)
        for position, axis in enumerate(shape)
    ]


def _batch_symbols(inputs: Sequence[TensorSpec]) -> set[str]:
    return {spec.shape[0] for spec in inputs if spec.shape and isinstance(spec.shape[0], str)}


def _draw(random: np.random.Generator, spec: TensorSpec, shape: list[int]) -> np.ndarray:
    match spec.dtype:
        case "float64":
            return random.standard_normal(shape)
        case "float32" | "float16":  # drawn narrow: a wider copy would count as the model's memory
            return random.standard_normal(shape, dtype=np.float32).astype(spec.dtype, copy=False)
        case "bfloat16":
            return random.standard_normal(shape, dtype=np.float32).astype(ml_dtypes.bfloat16)
        case "uint8" | "int8":
            return random.integers(0, np.iinfo(spec.dtype).max, shape, dtype=spec.dtype, endpoint=True)
        case "bool" | "int16" | "uint16" | "int32" | "uint32" | "int64" | "uint64":
            # Often positions in a table or masks: 0 and 1 are valid in almost all of them.
            return random.integers(0, 2, shape, dtype=spec.dtype)
    raise BadInput(
        f"input {spec.name!r} takes {spec.dtype}, which cannot be drawn at random.",
        code="input_not_drawable",
        hint="Only models whose inputs take numbers can be measured.",
    )
