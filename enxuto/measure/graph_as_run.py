"""The graph as ONNX Runtime runs it, what it knows of shapes when it plans memory, and what they come to in a call.

The runtime saves the graph that it optimized, with large weights in a file of their own that nobody reads. Where all
values are named as outputs, it tells the shapes that it infers, those of its own operators included. What is computed
from shapes it leaves open: there the inference of onnx helps, and the graph optimized for fixed axes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TypeGuard

import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import GraphProto, ModelProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, helper

from enxuto.runtimes.onnxruntime import session_options
from enxuto.settings import OnnxRuntimeSettings
from enxuto.signature import TensorSpec

Shapes = Mapping[str, Sequence[int]]
"""Of the inputs, by name."""
Plan = tuple[tuple[int | str, ...], int]
"""A shape as the runtime knows it before any call, with symbols where it is open, and the bits of an element."""
_MODEL, _WEIGHTS, _PROBE = "model.onnx", "weights.bin", "probe.onnx"
_LARGEST_INLINE_BYTES = "1024"
"""Smaller tensors may be shapes and positions, which the inference of shapes reads."""
_UNOPTIMIZED = OnnxRuntimeSettings(graph_level="disabled")


@dataclass(frozen=True)
class Tensor:
    shape: tuple[int, ...]
    bits: int
    """Of an element."""

    @property
    def size_bytes(self) -> int:
        return (prod(self.shape) * self.bits + 7) // 8


@dataclass(frozen=True)
class GraphAsRun:
    graph: GraphProto
    """Nodes in the order in which they are run."""
    tensors: Mapping[str, Tensor]
    """By the name of the value, as far as they can be told."""
    planned: Mapping[str, Plan]


def graph_as_run(path: Path, settings: OnnxRuntimeSettings, inputs: Sequence[TensorSpec], shapes: Shapes) -> GraphAsRun:
    """Raises whatever the runtime and the inference of shapes do."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = _optimized(path, settings, {}, folder)
        planned = {name: plan for name, told in _told(model, folder).items() if (plan := _plan(*told))}
        hints: dict[str, ValueInfoProto] = {}
        if symbols := _symbols(inputs, shapes):
            (folder / "fixed").mkdir()
            fixed = _optimized(path, settings, symbols, folder / "fixed")
            hints = {each.name: _value(each.name, each.dims, each.data_type) for each in fixed.graph.initializer}
            hints.update(_settled(fixed, shapes, {}, folder / "fixed"))
        values = _settled(model, shapes, hints, folder)
        tensors = {
            name: _tensor(each.type) for name, each in values.items() if _has_bits(each.type.tensor_type.elem_type)
        }
        return GraphAsRun(model.graph, tensors, planned)


def _plan(shape: Sequence[int | str | None], kind: int) -> Plan | None:
    known = tuple(axis for axis in shape if axis is not None)
    return (known, ir.DataType(kind).bitwidth) if len(known) == len(shape) and _has_bits(kind) else None


def _optimized(path: Path, settings: OnnxRuntimeSettings, symbols: Mapping[str, int], folder: Path) -> ModelProto:
    options = _options(settings)
    for name, size in symbols.items():
        options.add_free_dimension_override_by_name(name, size)
    options.optimized_model_filepath = str(folder / _MODEL)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", _WEIGHTS)
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_min_size_in_bytes", _LARGEST_INLINE_BYTES
    )
    ort.InferenceSession(path, options, providers=["CPUExecutionProvider"], enable_fallback=False)
    return onnx.load(folder / _MODEL, load_external_data=False)


def _options(settings: OnnxRuntimeSettings) -> ort.SessionOptions:
    options = session_options(1, settings)
    options.add_session_config_entry("session.disable_prepacking", "1")
    return options


def _symbols(inputs: Sequence[TensorSpec], shapes: Shapes) -> dict[str, int]:
    return {
        axis: size
        for spec in inputs
        for axis, size in zip(spec.shape or [], shapes[spec.name], strict=False)
        if isinstance(axis, str)
    }


def _settled(
    model: ModelProto, shapes: Shapes, hints: Mapping[str, ValueInfoProto], folder: Path
) -> dict[str, ValueInfoProto]:
    """Every value whose shape follows from the shapes of the inputs.

    Hints are taken where nothing else is known: names that the optimizer made up may stand for something else there.
    """
    _fix_inputs(model.graph, shapes)
    unknown = {name for node in model.graph.node for name in node.output if name}
    while True:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        known = {each.name: each for each in (*graph.value_info, *graph.output, *graph.input) if _is_settled(each.type)}
        unknown -= known.keys()
        _add_values(model.graph, known)
        told = _told(model, folder) if unknown else {}
        found = {
            name: _value(name, shape, kind)
            for name, (shape, kind) in told.items()
            if name in unknown and _is_known(shape)
        }
        found = found or {name: hints[name] for name in unknown & hints.keys()}
        if not found:
            return known
        _add_values(model.graph, found)
        unknown -= found.keys()  # so that it ends


def _told(model: ModelProto, folder: Path) -> dict[str, tuple[list[int | str | None], int]]:
    """Shapes and element types that the runtime infers. An unknown rank looks like a scalar there, so that neither is
    told."""
    probe = ModelProto()
    probe.CopyFrom(model)
    outputs = {value.name for value in probe.graph.output}
    names = dict.fromkeys(name for node in probe.graph.node for name in node.output if name and name not in outputs)
    probe.graph.output.extend(ValueInfoProto(name=name) for name in names)
    (folder / _PROBE).write_bytes(probe.SerializeToString())
    session = ort.InferenceSession(
        folder / _PROBE, _options(_UNOPTIMIZED), providers=["CPUExecutionProvider"], enable_fallback=False
    )
    return {
        each.name: (each.shape, TensorProto.DataType.Value(each.type[len("tensor(") : -1].upper()))
        for each in session.get_outputs()
        if each.type.startswith("tensor(") and each.shape
    }


def _is_known(shape: Sequence[int | str | None]) -> TypeGuard[Sequence[int]]:
    return all(isinstance(size, int) for size in shape)


def _value(name: str, shape: Sequence[int], kind: int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _add_values(graph: GraphProto, values: Mapping[str, ValueInfoProto]) -> None:
    for output in graph.output:
        if output.name in values:
            output.type.CopyFrom(values[output.name].type)
    present = {each.name for each in (*graph.value_info, *graph.input, *graph.output)}
    graph.value_info.extend(value for name, value in values.items() if name not in present)


def _fix_inputs(graph: GraphProto, shapes: Shapes) -> None:
    """Number the axes, those without a name too, and forget what was inferred with symbols."""
    for value in graph.input:
        if value.name in shapes:
            del value.type.tensor_type.shape.dim[:]
            value.type.tensor_type.shape.dim.extend(
                TensorShapeProto.Dimension(dim_value=size) for size in shapes[value.name]
            )
    _keep(graph, [value for value in graph.value_info if _is_settled(value.type)])
    for value in graph.output:
        if value.type.HasField("tensor_type") and not _is_settled(value.type):
            value.type.tensor_type.ClearField("shape")


def _keep(graph: GraphProto, values: Iterable[ValueInfoProto]) -> None:
    kept = list(values)
    del graph.value_info[:]
    graph.value_info.extend(kept)


def _is_settled(kind: TypeProto) -> bool:
    tensor = kind.tensor_type
    return tensor.HasField("shape") and all(axis.HasField("dim_value") for axis in tensor.shape.dim)


def _has_bits(kind: int) -> bool:
    """Strings have none, and types that are newer than this package are not known to it."""
    try:
        return ir.DataType(kind).bitwidth > 0
    except (TypeError, ValueError):
        return False


def _tensor(kind: TypeProto) -> Tensor:
    tensor = kind.tensor_type
    return Tensor(tuple(axis.dim_value for axis in tensor.shape.dim), ir.DataType(tensor.elem_type).bitwidth)
