"""Questions about nodes and tensors of a graph that a comparison of two graphs asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from enxuto.graph.weights import array_of, in_default_domain, initializers_behind, is_float

_GRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
_DRAWS = frozenset({"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli"})


@dataclass(frozen=True)
class Region:
    """What makes a tensor, from tensors that both graphs have."""

    nodes: tuple[ir.Node, ...]
    reads: tuple[ir.Value, ...]
    """Tensors of both graphs, or restored ones."""


def region_of(value: ir.Value, is_end: Callable[[ir.Value], bool]) -> Region:
    """Backward from a tensor, as far as what ends it."""
    nodes: dict[ir.Node, None] = {}
    reads: dict[ir.Value, None] = {}
    waiting = [producer_of(value)]
    while waiting:
        node = waiting.pop()
        if node in nodes:
            continue
        nodes[node] = None
        for read in node.inputs:
            if read is None:
                continue
            if is_end(read):
                reads[read] = None
            elif (producer := read.producer()) is not None:
                waiting.append(producer)
    return Region(tuple(nodes), tuple(reads))


def restorations(graph: ir.Graph) -> Iterator[tuple[ir.Value, ir.Value]]:
    """Each tensor that is quantized and restored, with what is restored."""
    for node in graph:
        if node.op_type == "DequantizeLinear" and (stored := node.inputs[0]) is not None:
            quantize = stored.producer()
            source = quantize.inputs[0] if quantize and quantize.op_type == "QuantizeLinear" else None
            if source is not None:
                yield source, node.outputs[0]


def varying_tensors(graph: ir.Graph) -> Iterator[ir.Value]:
    """Tensors of the graph itself that depend on its inputs or on chance."""
    varying = {value for value in graph.inputs if not value.is_initializer()}
    yield from (value for value in graph.inputs if value in varying)
    for node in graph:
        reads = any(value in varying for value in node.inputs)
        if reads or has_graphs(node) or node.op_type in _DRAWS:
            varying.update(node.outputs)
            yield from (output for output in node.outputs if output.name)


def has_graphs(node: ir.Node) -> bool:
    return any(attribute.type in _GRAPHS for attribute in node.attributes.values())


def is_only_quantized(value: ir.Value) -> bool:
    """Whether nobody reads it as it is; else it is quantized for some readers, and that is their doing."""
    return not value.is_graph_output() and all(node.op_type == "QuantizeLinear" for node in value.consumers())


def producer_of(value: ir.Value) -> ir.Node:
    producer = value.producer()
    if producer is None:
        raise ValueError(f"'{value.name}' is made by no node")
    return producer


def input_of(node: ir.Node, position: int) -> ir.Value:
    value = node.inputs[position]
    if value is None:
        raise ValueError(f"'{node.name}' lacks an input")
    return value


def same_operator(node: ir.Node, twin: ir.Node) -> bool:
    alike = (node.op_type, in_default_domain(node) or node.domain) == (
        twin.op_type,
        in_default_domain(twin) or twin.domain,
    )
    return alike and _settings(node.attributes) == _settings(twin.attributes)


def _settings(attributes: Mapping[str, ir.Attr]) -> dict[str, object]:
    return {
        name: one.value.numpy().tobytes() if isinstance(one.value, ir.TensorProtocol) else one.value
        for name, one in attributes.items()
    }


def same_numbers(before: ir.TensorProtocol, after: ir.TensorProtocol) -> bool:
    if before is after:
        return True
    if before.dtype != after.dtype or tuple(before.shape.numpy()) != tuple(after.shape.numpy()):
        return False
    return before.dtype == ir.DataType.STRING or np.array_equal(before.numpy(), after.numpy(), equal_nan=False)


def parameters_of(nodes: Sequence[ir.Node]) -> int:
    """Elements of the float weights that these nodes read, each once, rearranged and cut on the way or not."""
    return sum(array_of(weight).size for weight in _weights(nodes) if is_float(weight))


def constant_bytes(nodes: Sequence[ir.Node]) -> int:
    return sum(weight.const_value.nbytes for weight in _weights(nodes) if weight.const_value is not None)


def _weights(nodes: Sequence[ir.Node]) -> set[ir.Value]:
    return {weight for node in nodes for value in node.inputs for weight in initializers_behind(value)}
