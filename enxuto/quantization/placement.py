"""Which tensors are quantized: those that integer kernels read or write, and nothing else.

Convolutions read and write integers. Matrix products read integers and write floats: onnxruntime fuses that into one
kernel, and what follows them in transformers (softmax, norms, residual sums) loses too much in 8 bits. Between a
convolution and whoever reads integers, pools, sums and rearrangements run in integers too.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import onnx_ir as ir

from enxuto.quantization.linear import Linear
from enxuto.quantization.operators import CLIPPING, data_inputs, follows, keeps_range


@dataclass(frozen=True)
class Placement:
    """Quantized tensors of a graph, and who reads them as such."""

    linears: tuple[Linear, ...]
    """Convolutions and matrix products that run in integers."""
    followers: tuple[ir.Node, ...]
    """Other nodes that run in integers."""
    tensors: tuple[ir.Value, ...]
    range_of: dict[ir.Value, ir.Value]
    """The tensor whose range a quantized tensor takes: itself, or one that it is a rearrangement of."""
    written: frozenset[ir.Value]
    """Tensors that an integer kernel writes: everybody reads them quantized. Others stay as they are beside."""


def place(
    graph: ir.Graph,
    linears: Sequence[Linear],
    kept: AbstractSet[ir.Node] = frozenset(),
    blocked: AbstractSet[ir.Value] = frozenset(),
) -> Placement:
    """Where quantization goes so that these nodes run in integers.

    Nodes ``kept`` stay in floating point, and so does whatever would touch a ``blocked`` tensor.
    """
    chosen = [one for one in linears if one.node not in kept and blocked.isdisjoint(_tensors_of(one.node))]
    wanted = {tensor for one in chosen for tensor in _tensors_of(one.node)}
    candidates = _candidates(graph, {effective_output(one.node) for one in chosen if one.node.op_type == "Conv"}, kept)
    followers = []
    for node in reversed(candidates):
        touched = {*data_inputs(node), effective_output(node)}
        if effective_output(node) in wanted and blocked.isdisjoint(touched):
            wanted |= touched
            followers.append(node)
    followers.reverse()
    tensors = tuple(value for value in _in_order(graph) if value in wanted)
    writers = [*(one.node for one in chosen if one.node.op_type == "Conv"), *followers]
    return Placement(
        linears=tuple(chosen),
        followers=tuple(followers),
        tensors=tensors,
        range_of=_shared_ranges(tensors, set(followers)),
        written=frozenset(effective_output(node) for node in writers),
    )


def effective_output(node: ir.Node) -> ir.Value:
    """Behind a clipping node that alone reads the output: both become one integer kernel."""
    output = node.outputs[0]
    readers = output.consumers()
    if len(readers) == 1 and not output.is_graph_output() and node.op_type not in CLIPPING:
        (reader,) = readers
        if reader.op_type in CLIPPING and reader.graph is node.graph and reader.inputs[0] is output:
            return reader.outputs[0]
    return output


def _tensors_of(node: ir.Node) -> list[ir.Value]:
    """What a convolution or matrix product needs quantized."""
    data = data_inputs(node)
    return [*data, effective_output(node)] if node.op_type == "Conv" else data


def _candidates(graph: ir.Graph, integer: set[ir.Value], kept: AbstractSet[ir.Node]) -> list[ir.Node]:
    """Nodes that something integer reaches, in the graph's order; ``integer`` grows on the way."""
    reached = []
    for node in graph:
        if node in kept or not follows(node) or node.outputs[0] in integer:
            continue
        if any(value in integer for value in data_inputs(node)):
            integer.add(effective_output(node))
            reached.append(node)
    return reached


def _in_order(graph: ir.Graph) -> list[ir.Value]:
    return [*graph.inputs, *(output for node in graph for output in node.outputs)]


def _shared_ranges(tensors: Sequence[ir.Value], followers: set[ir.Node]) -> dict[ir.Value, ir.Value]:
    roots: dict[ir.Value, ir.Value] = {}
    for tensor in tensors:
        producer = tensor.producer()
        if producer is not None and producer in followers and keeps_range(producer):
            roots[tensor] = roots[data_inputs(producer)[0]]
        else:
            roots[tensor] = tensor
    return roots
