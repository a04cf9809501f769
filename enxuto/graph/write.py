"""Writes a model file, tensor by tensor where they are large, so that the file is never in memory beside the model.

A protocol buffer may be written in parts: a message that is given again is merged with what was given before. So the
graph is written without its large weights first, and each of them follows as a graph with nothing else in it.
What is too much for one file (1 GiB) goes into a second one beside it, which is called by its SHA-256: so the model
file says which weights it was written with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import EncodeError

from enxuto.errors import BadInput
from enxuto.graph.mapped import MappedTensor, forget_weights

_LARGEST_MESSAGE = 2**31 - 1
"""Of one protocol buffer."""
_LARGEST_FILE = 2**30
"""Half of that: a runtime that reads weights out of a protocol buffer holds them twice while it does."""
_SPARE_BYTES = 1 << 26
"""For nodes, names and small weights."""
_LARGE_TENSOR, _SMALL_TENSOR = 1 << 20, 1 << 10
"""Bytes from which on a weight is written by itself; from the second on where smaller ones take up the spare room."""
_WORTH_PARTS = 1 << 26
"""Bytes in large tensors below which a file is written at once."""
_ALIGNMENT, _SMALL_ALIGNMENT = 1 << 16, 1 << 6
"""Of weights in a file of their own: whole pages, whatever their size is there, so that they can be mapped; of small
ones, a line of the cache."""


def write_model(model: ir.Model, path: Path, *, few_files: bool = True) -> list[str]:
    """Write the model, and return the names of the files beside it that hold its weights: none where one file will do.

    Without ``few_files`` they lie beside it wherever they are worth it: a runtime that loads the model then holds them
    once, and not as a part of the file as well.

    Raises:
        BadInput: the graph itself is too large for one file.
    """
    large = _large_tensors(model)
    held = sum(tensor.nbytes for tensor in large.values())
    if held < _WORTH_PARTS:
        path.write_bytes(_serialized(_without_external(model)))
        forget_weights(model)
        return []
    if few_files and held <= _LARGEST_FILE - _SPARE_BYTES:
        _write_in_parts(model, large, path)
        return []
    return [_write_apart(model, large, path)]


def _large_tensors(model: ir.Model) -> dict[str, ir.TensorProtocol]:
    """By the initializer's name, so many that what is left is small.

    Of the main graph: those of branches and bodies are small, or rare.
    """
    tensors = {
        name: value.const_value
        for name, value in model.graph.initializers.items()
        if value.const_value is not None and value.dtype != ir.DataType.STRING
    }
    for least in (_LARGE_TENSOR, _SMALL_TENSOR):
        large = {name: tensor for name, tensor in tensors.items() if tensor.nbytes >= least}
        if sum(tensor.nbytes for name, tensor in tensors.items() if name not in large) <= _SPARE_BYTES // 2:
            break
    return large


def _let_go(tensor: ir.TensorProtocol) -> None:
    """Of the memory that looking at it took."""
    if isinstance(tensor, MappedTensor):
        tensor.forget()


def _serialized(model: ir.Model, without: Mapping[str, object] = {}) -> bytes:
    try:
        proto = ir.to_proto(model)
        _leave_out_shapes_of_weights(proto.graph)
        kept = [tensor for tensor in proto.graph.initializer if tensor.name not in without]
        if without:
            del proto.graph.initializer[:]
            proto.graph.initializer.extend(kept)
        data: bytes = proto.SerializeToString(deterministic=True)
        return data
    except (EncodeError, ValueError) as error:
        raise BadInput(
            f"The model cannot be written as ONNX: {error}",
            code="model_too_large",
            hint=f"What is not weights must fit into one file of at most {_LARGEST_MESSAGE} bytes.",
        ) from error


def _leave_out_shapes_of_weights(graph: onnx.GraphProto) -> None:
    """They stand with the weights: said twice, they take a thirtieth of a small file in integers."""
    held = {tensor.name for tensor in graph.initializer}
    others = [info for info in graph.value_info if info.name not in held]
    del graph.value_info[:]
    graph.value_info.extend(others)


def _without_external(model: ir.Model, placeholders: Mapping[str, ir.TensorProtocol] = {}) -> ir.Model:
    """A copy that holds its weights itself, but for those that a placeholder is given for."""
    weights = [value for graph in model.graphs() for value in graph.initializers.values()]
    if not placeholders and not any(isinstance(value.const_value, ir.ExternalTensor) for value in weights):
        return model
    copy = model.clone()
    for graph in copy.graphs():  # branches and bodies hold weights too
        for name, value in graph.initializers.items():
            if graph is copy.graph and name in placeholders:
                value.const_value = placeholders[name]
            elif isinstance(value.const_value, ir.ExternalTensor):
                value.const_value = _in_memory(value.const_value)
    return copy


def _in_memory(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=tensor.name)


def _write_in_parts(model: ir.Model, large: Mapping[str, ir.TensorProtocol], path: Path) -> None:
    nothing = {name: ir.Tensor(tensor.numpy()[:0], dtype=tensor.dtype, name=name) for name, tensor in large.items()}
    with path.open("wb") as file:
        file.write(_serialized(_without_external(model, nothing), without=large))
        for name, tensor in large.items():
            part = onnx.ModelProto()
            part.graph.initializer.append(_proto(name, tensor))
            file.write(part.SerializeToString(deterministic=True))
            _let_go(tensor)


def _proto(name: str, tensor: ir.TensorProtocol) -> onnx.TensorProto:
    return onnx.TensorProto(
        name=name, data_type=int(tensor.dtype), dims=list(tensor.shape.numpy()), raw_data=tensor.tobytes()
    )


def _write_apart(model: ir.Model, large: Mapping[str, ir.TensorProtocol], path: Path) -> str:
    """Returns the name of the file with the large weights."""
    sha256, offsets = hashlib.sha256(), {}
    unnamed = path.with_name(f"{path.name}.weights")
    with unnamed.open("wb") as file:
        for name, tensor in large.items():
            alignment = _ALIGNMENT if tensor.nbytes >= _LARGE_TENSOR else _SMALL_ALIGNMENT
            gap = bytes(-file.tell() % alignment)
            offsets[name] = file.tell() + len(gap)
            for piece in (gap, tensor.tobytes()):
                file.write(piece)
                sha256.update(piece)
            _let_go(tensor)
    location = sha256.hexdigest()
    unnamed.rename(path.with_name(location))
    outside = {
        name: ir.ExternalTensor(
            location, offsets[name], tensor.nbytes, tensor.dtype, shape=ir.Shape(tensor.shape.numpy()), name=name
        )
        for name, tensor in large.items()
    }
    path.write_bytes(_serialized(_without_external(model, outside)))
    return location
