"""Where a candidate's error comes in: the step that follows original and candidate through the graph.

Techniques keep the names of tensors, so that what both compute can be compared tensor by tensor. A layer that changed
is to blame as far as the outputs suffer from its change alone (``parts``); where before and after do not fit together,
as far as its output is worse than its inputs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx_ir as ir

from enxuto.dataset import SampleBatches
from enxuto.errors import BadInput, NotApplicable
from enxuto.graph.file import read_model
from enxuto.graph.normalize import normalized
from enxuto.graph.weights import computed_array
from enxuto.judge.advice import Symptoms, advise
from enxuto.judge.changes import ChangedLayer, Comparison
from enxuto.judge.few_samples import Batch, batches_for
from enxuto.judge.gates import Part
from enxuto.judge.inner import InnerTensors
from enxuto.judge.parts import compared, float_twin, noise_of_parts
from enxuto.judge.tensor_errors import TensorError
from enxuto.machine import this_machine
from enxuto.runtimes import load_model
from enxuto.schema import Digest
from enxuto.settings import OnnxRuntimeSettings
from enxuto.steps import DiagnoseModel, Diagnosis, LayerError
from enxuto.techniques import Context

_MOST = 20
_GOOD_DB = 60.0
"""What no integer of 8 bits comes near: from there on, inputs count as exact."""
_FEW = 8
"""Samples in a batch at most, where the model leaves it open: inner tensors of a batch are computed at once."""
_OPENVINO = "OpenVINO computes this candidate; here its file was run by ONNX Runtime, whose rounding differs a little."
_UNLIKE = "Few tensors have the same name in both models, so that most layers could not be followed."


def diagnose_model(step: DiagnoseModel, files: Mapping[Digest, Path], out: Path) -> Diagnosis:
    """Raises BadInput: a model does not load or run."""
    settings = step.subject.settings
    ours = settings if isinstance(settings, OnnxRuntimeSettings) else OnnxRuntimeSettings()
    source = files[step.original]
    loaded = load_model(source, ours, step.workload.threads)
    samples = SampleBatches(step.samples, files, step.preprocessing, loaded.inputs)
    few = step.workload.model_copy(update={"batch_size": min(step.workload.batch_size, _FEW)})
    batches = batches_for(loaded, samples, few)
    del loaded  # of a large model there is no room for more than two
    original, candidate = read_model(source), normalized(read_model(files[step.subject.model]))
    with TemporaryDirectory(dir=out) as folder:
        scratch = Path(folder)
        sets = frozenset(this_machine().instruction_sets)
        context = Context(scratch, step.samples.seed, samples, sets, step.workload)
        twin, comparison = _twin(original, candidate, context)
        inner = InnerTensors(twin, candidate, ours, step.workload.threads, scratch)
        errors = _errors(inner, comparison.factors, batches)
        noises = _noises(twin, comparison, candidate, batches, scratch)
    rows = [_row(layer, twin, comparison, errors, noises) for layer in comparison.layers]
    told = sorted((row for row in rows if row is not None), key=_blame, reverse=True)
    notes = [
        *([_OPENVINO] if ours is not settings else []),
        *([_UNLIKE] if 0 < comparison.tensors_before <= 2 * comparison.missing else []),
    ]
    return Diagnosis(layers=told[:_MOST], samples=samples.count, note=" ".join(notes))


def _errors(inner: InnerTensors, factors: Mapping[str, np.ndarray], batches: Sequence[Batch]) -> dict[str, TensorError]:
    """Of the inputs as well, which have none, but ranges."""
    found: dict[str, TensorError] = defaultdict(TensorError)
    for batch in batches:
        for name, array in batch.feeds.items():
            if array.dtype.kind == "f":
                found[name].add(array, array)
    for name, (left, right) in inner.pairs(batches):
        found[name].add(left, right / factors[name] if name in factors else right)
    return found


def _twin(original: ir.Model, candidate: ir.Model, context: Context) -> tuple[ir.Model, Comparison]:
    try:
        return float_twin(original, candidate, context)
    except NotApplicable:  # of an opset that cannot be raised: names are the same all the same
        return compared(normalized(original), candidate)


def _noises(
    twin: ir.Model, comparison: Comparison, candidate: ir.Model, batches: Sequence[Batch], scratch: Path
) -> dict[Part, float]:
    """Empty where before and after do not fit together, as in a model that computes in half precision."""
    try:
        return noise_of_parts(twin, comparison, candidate, batches, scratch)
    except BadInput:
        return {}


def _row(
    layer: ChangedLayer,
    twin: ir.Model,
    comparison: Comparison,
    errors: Mapping[str, TensorError],
    noises: Mapping[Part, float],
) -> LayerError | None:
    output = errors.get(layer.outputs[0])
    if output is None:
        return None
    reads = [name for name in comparison.reads_of(layer) if name in errors]
    worst = min((errors[name].sqnr_db for name in reads), default=_GOOD_DB)
    read = max(reads, key=lambda name: noises.get(name, 0.0), default=None)
    about = errors[read] if read is not None else output
    symptoms = _symptoms(layer, twin, comparison, read)
    symptoms = replace(symptoms, outlier_ratio=about.outlier_ratio, channel_spread=about.channel_spread)
    return LayerError(
        name=layer.name,
        operator=layer.operator,
        tensor=layer.outputs[0],
        sqnr_db=output.sqnr_db if output.sqnr_db < _EXACT_DB else None,
        lost_db=min(worst, _GOOD_DB) - output.sqnr_db,
        noise=noises[layer] + sum(noises.get(name, 0.0) for name in layer.reads) if noises else None,
        input=read,
        low=about.low,
        high=about.high,
        outlier_ratio=about.outlier_ratio,
        channel_spread=about.channel_spread,
        weight_spread=symptoms.weight_spread,
        advice=advise(symptoms),
    )


_EXACT_DB = 149.0


def _symptoms(layer: ChangedLayer, twin: ir.Model, comparison: Comparison, read: str | None) -> Symptoms:
    nodes = comparison.nodes_of(layer)
    weights = [node for node in nodes if node.op_type == "DequantizeLinear" and _is_weight(node.inputs[0])]
    node = next(one for one in twin.graph if one.name == layer.name)
    rounds = any("QuantizeLinear" in one.op_type for one in nodes if one not in weights)
    bits = [_bits(value) for each in nodes for value in each.inputs if _is_weight(value)]
    return Symptoms(
        input=read,
        reads_integers=read in layer.reads or rounds,
        outlier_ratio=1.0,
        channel_spread=None,
        weight_spread=_weight_spread(node),
        one_weight_scale=bool(weights) and all(_is_single(one.inputs[1]) for one in weights),
        weight_bits=min((each for each in bits if each is not None), default=None),
        came_quantized=any("QuantizeLinear" in one.op_type for one in twin.graph),
    )


def _is_weight(value: ir.Value | None) -> bool:
    return value is not None and value.const_value is not None and len(value.const_value.shape) >= 2


def _is_single(value: ir.Value | None) -> bool:
    return value is not None and value.const_value is not None and value.const_value.size == 1


def _bits(value: ir.Value | None) -> int | None:
    dtype = value.dtype if value is not None else None
    return int(8 * dtype.itemsize) if dtype is not None and dtype.is_integer() else None


def _weight_spread(node: ir.Node) -> float | None:
    """Widest output channel's magnitude over the median one's."""
    weight = next((array for array in map(computed_array, node.inputs[1:2]) if array is not None), None)
    if weight is None or weight.ndim < 2 or weight.dtype.kind != "f":
        return None
    axis = 0 if node.op_type == "Conv" or _is_transposed(node) else weight.ndim - 1
    widths = np.abs(np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)).max(axis=1)
    middle = float(np.median(widths))
    return float(widths.max()) / middle if middle > 0 else None


def _is_transposed(node: ir.Node) -> bool:
    attribute = node.attributes.get("transB")
    return attribute is not None and bool(attribute.as_int())


def _blame(row: LayerError) -> tuple[float, float]:
    lost = row.lost_db if row.lost_db is not None else 0.0
    return (row.noise if row.noise is not None else 0.0, lost)
