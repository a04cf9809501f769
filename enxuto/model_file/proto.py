"""Reads a file into ONNX's protocol buffer, and walks every graph and tensor in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from enxuto.errors import BadInput
from enxuto.model_file.pieces import parse_in_pieces

_LARGEST_PROTOBUF = 2**31 - 1


def read_proto(path: Path, name: str) -> ModelProto:
    if path.stat().st_size > _LARGEST_PROTOBUF:
        raise BadInput(
            f"{name} has {path.stat().st_size} bytes; a single ONNX file cannot hold more than {_LARGEST_PROTOBUF}.",
            code="model_too_large",
            hint="Check that this is an ONNX file; store the weights in half precision where it is.",
        )
    try:
        proto = parse_in_pieces(path)
    except DecodeError as error:
        raise _undecodable(path, name) from error
    if not all(isinstance(text, str) for text in _texts(proto)):  # bytes, where they are no UTF-8
        raise _undecodable(path, name)
    if not proto.graph.node and not proto.graph.output:
        raise BadInput(
            f"{name} holds no ONNX graph.", code="not_a_model", hint="Check that the right file was uploaded."
        )
    if not name.lower().endswith(".onnx"):
        raise BadInput(
            f"{name} holds an ONNX model, but its name does not end in .onnx.",
            code="wrong_extension",
            hint="Upload it under a name that ends in .onnx.",
        )
    return proto


def _undecodable(path: Path, name: str) -> BadInput:
    with path.open("rb") as file:
        head = file.read(2)
    if len(head) == 2 and head[0] == 0x08 and head[1] < 0x80:  # the IR version, first in every ONNX file seen so far
        return BadInput(
            f"{name} starts like an ONNX model but cannot be decoded: it was cut short or damaged on its way.",
            code="damaged_model",
            hint="Compare its size and checksum with the original, and upload it again.",
        )
    return BadInput(
        f"{name} is no ONNX model.", code="not_a_model", hint="Export the model to ONNX, and upload the .onnx file."
    )


def _texts(proto: ModelProto) -> Iterator[object]:
    """Every name that is read here or later."""
    yield from (proto.producer_name, proto.producer_version, *(entry.domain for entry in proto.opset_import))
    for node in nodes(proto):
        yield from (node.name, node.op_type, node.domain, node.overload, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for function in proto.functions:
        yield from (function.domain, function.name, function.overload)
    for graph in graphs(proto):
        for value in (*graph.input, *graph.output):
            yield value.name
            yield from (axis.dim_param for axis in value.type.tensor_type.shape.dim)
    yield from (name for name, _ in tensors(proto))


def graphs(proto: ModelProto) -> Iterator[GraphProto]:
    """The main graph, then every subgraph, those of functions too."""
    yield proto.graph
    yield from _subgraphs(proto.graph.node)
    for function in proto.functions:
        yield from _subgraphs(function.node)


def _subgraphs(nodes: Iterable[NodeProto]) -> Iterator[GraphProto]:
    for node in nodes:
        for graph in subgraphs_of(node):
            yield graph
            yield from _subgraphs(graph.node)


def subgraphs_of(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def nodes(proto: ModelProto) -> Iterator[NodeProto]:
    """Of all graphs and functions; each function's body once."""
    for graph in graphs(proto):
        yield from graph.node
    for function in proto.functions:
        yield from function.node


def tensors(proto: ModelProto) -> Iterator[tuple[str, TensorProto]]:
    """Every tensor stored anywhere, with the name of the value that it gives."""
    for graph in graphs(proto):
        yield from ((tensor.name, tensor) for tensor in graph.initializer)
        for sparse in graph.sparse_initializer:
            yield from ((sparse.values.name, sparse.values), (sparse.values.name, sparse.indices))
    for node in nodes(proto):
        for attribute in node.attribute:
            yield from ((_owner(node), tensor) for tensor in _attribute_tensors(attribute))


def _attribute_tensors(attribute: AttributeProto) -> Iterator[TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    if attribute.HasField("sparse_tensor"):
        yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
    for sparse in attribute.sparse_tensors:
        yield from (sparse.values, sparse.indices)


def _owner(node: NodeProto) -> str:
    return node.output[0] if node.output else node.name
