"""Which values of a transformer hold one row a token, so that rows of padding can be left out of them.

From the projections that attention reads, and from what it writes, through every operator that treats a row alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from enxuto.graph.weights import array_of, in_default_domain, is_constant

_ALONE = frozenset({"Gelu", "FastGelu", "Relu", "Tanh", "Sigmoid", "Erf", "Identity"})
_WITH_CONSTANTS = frozenset({"Add", "Sub", "Mul", "Div", "Sum"})
_ATTENTION = "MultiHeadAttention"


@dataclass(frozen=True)
class TokenWise:
    """A part of the graph whose values are [batch, sequence, …], each row computed for itself but for attention."""

    attentions: list[ir.Node]
    nodes: list[ir.Node]
    """That treat a row alone."""
    entries: list[ir.Value]
    """Read by the part, written outside of it."""
    exits: list[ir.Value]
    """Written by the part, read outside of it."""


def token_wise(graph: ir.Graph, masked_by: ir.Value) -> TokenWise | None:
    """None where attention looks at padding, at what went before, or at another sequence."""
    attentions = [node for node in graph if node.op_type == _ATTENTION and node.domain == "com.microsoft"]
    if not attentions or not all(_hides_padding(node, masked_by) for node in attentions):
        return None
    known = {value for node in attentions for value in (*node.inputs[:3], node.outputs[0]) if value is not None}
    alone = {node: data for node in graph if (data := _data_inputs(node))}
    both_ways = [*alone.items(), *reversed(alone.items())]  # one way takes a turn for each node of a long chain
    grown = True
    while grown:
        before = len(known)
        for node, data in both_ways:
            if all(value in known for value in data):
                known.update(node.outputs)
            elif len(data) == 1 and any(output in known for output in node.outputs):
                known.update(data)
        grown = len(known) > before
    nodes = [node for node, data in alone.items() if all(value in known for value in data)]
    return _bounded(attentions, nodes)


def _bounded(attentions: list[ir.Node], nodes: list[ir.Node]) -> TokenWise | None:
    inside = {*attentions, *nodes}
    written = {output for node in inside for output in node.outputs}
    read = dict.fromkeys(
        value for node in (*nodes, *attentions)
        for value in (node.inputs[:3] if node in attentions else _data_inputs(node)) if value is not None
    )  # fmt: skip
    entries = [value for value in read if value not in written]
    exits = [value for value in written if set(value.consumers()) - inside]
    if any(value.is_graph_output() for value in written) or any(value.is_graph_input() for value in entries):
        return None
    order = {node: position for position, node in enumerate(nodes)}
    return TokenWise(attentions, nodes, entries, sorted(exits, key=lambda value: order.get(value.producer(), 0)))  # type: ignore[arg-type]


def _hides_padding(node: ir.Node, mask: ir.Value) -> bool:
    """By this very mask, and with no other addition; a row of the cache or a bias would be counted by position."""
    given = node.inputs[4] if len(node.inputs) > 4 else None
    cast = given.producer() if given is not None else None
    source = cast.inputs[0] if cast is not None and cast.op_type == "Cast" else given
    others = [value for position, value in enumerate(node.inputs) if position not in (0, 1, 2, 4) and value is not None]
    return source is mask and not others and len(node.outputs) == 1


def _data_inputs(node: ir.Node) -> list[ir.Value]:
    """What a node reads beside constants, where it treats every row alone; empty for any other node."""
    inputs = [value for value in node.inputs if value is not None]
    data = [value for value in inputs if not is_constant(value)]
    if not data or (not in_default_domain(node) and node.op_type not in _ALONE):
        return []
    if node.op_type in _ALONE:
        return data if len(inputs) == 1 else []
    if node.op_type in _WITH_CONSTANTS:
        flat = all(array_of(value).ndim <= 1 for value in inputs if is_constant(value))
        return data if flat else []
    return data if len(data) == 1 and data[0] is node.inputs[0] and _by_row(node, inputs) else []


def _by_row(node: ir.Node, inputs: list[ir.Value]) -> bool:
    axis = node.attributes.get("axis")
    last = axis is not None and axis.as_int() in (-1, 2)
    match node.op_type:
        case "MatMul":
            return len(inputs) == 2 and array_of(inputs[1]).ndim == 2
        case "LayerNormalization":
            return (axis is None or last) and not any(output.uses() for output in node.outputs[1:])
        case "Split":
            return last
    return False
