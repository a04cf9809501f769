"""Ranges of a model's tensors over calibration samples, in memory that does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from enxuto.errors import BadInput, NotApplicable
from enxuto.graph.feeds import filled
from enxuto.graph.file import write_model
from enxuto.quantization.affine import Range
from enxuto.quantization.observe import Observer
from enxuto.runtimes import LoadedModel, load_model
from enxuto.signature import fixed_batch
from enxuto.techniques.base import Batches, Context

_MEMORY_BYTES = 64 << 20
"""For the tensors of one batch."""
_LARGEST_BATCH = 64


def ranges(
    model: ir.Model, names: Sequence[str], batches: Batches, observer: Callable[[], Observer], context: Context
) -> dict[str, Range]:
    """Range of each named float32 tensor. Left out: tensors that took values which are not finite."""
    if batches.count == 0:
        raise NotApplicable(
            "There are no calibration samples to take ranges from.",
            code="calibration_data_missing",
            hint="Give a dataset with at least one sample.",
        )
    path = context.scratch / "observed.onnx"
    write_model(_with_outputs(model, names), path)
    loaded = load_model(path)
    observers = {name: observer() for name in names}
    for feeds in _feeds(loaded, names, batches, context):
        for name, values in _tensors(loaded, feeds).items():
            if name in observers:
                observers[name].add(values)
    path.unlink()
    found = {name: seen.range() for name, seen in observers.items()}
    return {name: seen for name, seen in found.items() if seen is not None}


def _with_outputs(model: ir.Model, names: Sequence[str]) -> ir.Model:
    """The model with inner tensors as further outputs."""
    copy = model.clone()
    values = {output.name: output for node in copy.graph for output in node.outputs}
    for name in names:
        value = values.get(name)
        if value is not None and not value.is_graph_output():
            value.type = ir.TensorType(ir.DataType.FLOAT)
            copy.graph.outputs.append(value)
    return copy


def _tensors(loaded: LoadedModel, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    outputs = zip(loaded.outputs, loaded.run(feeds), strict=True)
    return {**feeds, **{spec.name: array for spec, array in outputs}}


def _feeds(
    loaded: LoadedModel, names: Sequence[str], batches: Batches, context: Context
) -> Iterator[Mapping[str, np.ndarray]]:
    fixed = fixed_batch(loaded.inputs)
    try:
        size = fixed or _affordable(loaded, names, next(iter(batches(1))))
    except BadInput:
        if context.workload.batch_size == 1:
            raise
        fixed = size = context.workload.batch_size  # declared open, but runs at one size only
    for feeds in batches(size):
        yield filled(feeds, fixed) if fixed else feeds


def _affordable(loaded: LoadedModel, names: Sequence[str], sample: Mapping[str, np.ndarray]) -> int:
    """Samples in a batch, so that its tensors fit into the memory set aside for them."""
    one_sample = sum(array.nbytes for name, array in _tensors(loaded, sample).items() if name in names)
    return min(max(_MEMORY_BYTES // max(one_sample, 1), 1), _LARGEST_BATCH)
