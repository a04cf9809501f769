"""Which tensors are quantized: those that integer kernels read or write, and nothing else.

Convolutions read and write integers. Matrix products read integers and write floats: onnxruntime fuses that into one
kernel, and what follows them in transformers (softmax, norms, residual sums) loses too much in 8 bits. Between a
convolution and whoever reads integers, pools, sums and rearrangements run in integers too.

That is the layout for ONNX Runtime, whose convolutions write integers before anything else happens to them. OpenVINO's
go on in floats, through an activation or a sum, and round once behind it: for them a convolution ends there
(``enxuto/quantization/kernel_ends.py``), and what nobody reads as integers is not rounded at all. Its attention reads
queries and keys as integers, too (``enxuto/quantization/scores.py``), right in front of their product: whatever else
brings them there stays in floats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import onnx_ir as ir

from enxuto.quantization.kernel_ends import KernelEnd, Layout, end_of, kernel_ends
from enxuto.quantization.linear import Linear
from enxuto.quantization.operators import data_inputs, follows, keeps_range
from enxuto.quantization.scores import score_products


@dataclass(frozen=True)
class Placement:
    """Quantized tensors of a graph, and who reads them as such."""

    linears: tuple[Linear, ...]
    """Convolutions and matrix products that run in integers."""
    followers: tuple[ir.Node, ...]
    """Other nodes that run in integers."""
    products: tuple[ir.Node, ...]
    """Of queries and keys, which run in integers. Nobody else reads these as such, and they are signed."""
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
    layout: Layout = "onnxruntime",
) -> Placement:
    """Where quantization goes so that these nodes run in integers.

    Nodes ``kept`` stay in floating point, and so does whatever would touch a ``blocked`` tensor.
    """
    nodes = [one.node for one in linears if one.node not in kept]
    ends = kernel_ends([node for node in nodes if node.op_type == "Conv"], layout, kept)
    touched = {node: [*data_inputs(node), *_written_by(node, ends)] for node in nodes}
    chosen = [one for one in linears if one.node in touched and blocked.isdisjoint(touched[one.node])]
    inner = {node for end in ends.values() for node in end.inner}
    written = {value for one in chosen for value in _written_by(one.node, ends)}
    candidates = _candidates(graph, set(written), {*kept, *inner})
    wanted = {value for one in chosen for value in data_inputs(one.node)}
    if layout == "onnxruntime":
        wanted |= written
    followers = _followers(candidates, wanted, blocked)
    for one in reversed(chosen):  # a sum that is part of a kernel reads integers where its other side comes as such
        end = ends.get(one.node)
        if end is not None and end.added is not None and end.output in wanted and end.added in written:
            wanted.add(end.added)
            followers += _followers(candidates, wanted, blocked, set(followers))
    untouchable = wanted | blocked | written
    products = [one for one in _score_products(graph, layout) if one not in kept and _is_free(one, untouchable)]
    wanted |= {value for product in products for value in _read_by(product)}
    order = {node: position for position, node in enumerate(candidates)}
    followers.sort(key=lambda node: order[node])
    tensors = tuple(value for value in _in_order(graph) if value in wanted)
    return Placement(
        linears=tuple(chosen),
        followers=tuple(followers),
        products=tuple(products),
        tensors=tensors,
        range_of=_shared_ranges(tensors, set(followers)),
        written=frozenset((written & wanted) | {end_of(node) for node in followers}),
    )


def _score_products(graph: ir.Graph, layout: Layout) -> list[ir.Node]:
    return list(score_products(graph)) if layout == "openvino" else []


def _is_free(product: ir.Node, untouchable: AbstractSet[ir.Value]) -> bool:
    """Whether what it reads is not blocked, nor read or written as unsigned integers by others."""
    return untouchable.isdisjoint(_read_by(product))


def _read_by(product: ir.Node) -> list[ir.Value]:
    return [value for value in product.inputs if value is not None]


def _written_by(node: ir.Node, ends: Mapping[ir.Node, KernelEnd]) -> list[ir.Value]:
    """What a convolution writes; matrix products write floats."""
    return [ends[node].output] if node in ends else []


def _followers(
    candidates: Sequence[ir.Node],
    wanted: set[ir.Value],
    blocked: AbstractSet[ir.Value],
    known: AbstractSet[ir.Node] = frozenset(),
) -> list[ir.Node]:
    """Of the candidates, those that lead to what is wanted in integers; ``wanted`` grows on the way."""
    found = []
    for node in reversed(candidates):
        touched = {*data_inputs(node), end_of(node)}
        if node not in known and end_of(node) in wanted and blocked.isdisjoint(touched):
            wanted |= touched
            found.append(node)
    return found


def _candidates(graph: ir.Graph, integer: set[ir.Value], kept: AbstractSet[ir.Node]) -> list[ir.Node]:
    """Nodes that something integer reaches, in the graph's order; ``integer`` grows on the way."""
    reached = []
    for node in graph:
        if node in kept or not follows(node) or node.outputs[0] in integer:
            continue
        if any(value in integer for value in data_inputs(node)):
            integer.add(end_of(node))
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
