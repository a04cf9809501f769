"""What every pattern asks of a graph: who made a value, which number it is, and who else reads it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import onnx_ir as ir

from enxuto.graph.weights import array_of, in_default_domain, input_of, is_constant

_CLOSE = 1e-4
"""Relative: exporters round √2 and its like in their own ways."""


def made_by(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The node of the default domain that makes this value, where it is one of these."""
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type in op_types and in_default_domain(node) else None


def number(value: ir.Value | None) -> float | None:
    """Of a constant with one element."""
    if value is None or not is_constant(value) or array_of(value).size != 1:
        return None
    return float(array_of(value).ravel()[0])


def integers(value: ir.Value | None) -> list[int] | None:
    """Of a constant with few integers: axes, shapes."""
    if value is None or not is_constant(value) or array_of(value).dtype.kind != "i":
        return None
    return [int(one) for one in array_of(value).ravel()]


def is_number(value: ir.Value | None, wanted: float) -> bool:
    found = number(value)
    return found is not None and math.isclose(found, wanted, rel_tol=_CLOSE)


def with_number(node: ir.Node) -> tuple[ir.Value, float] | None:
    """Of a node with two inputs, one of which is a scalar constant: the other one, and the number."""
    for position, other in ((1, 0), (0, 1)):
        value, found = input_of(node, other), number(input_of(node, position))
        if value is not None and found is not None:
            return value, found
    return None


def other_input(node: ir.Node, value: ir.Value | None) -> ir.Value | None:
    """Of a node with two inputs, one of which is ``value``: the other one."""
    first, second = node.inputs[0], node.inputs[1]
    if first is value:
        return second
    return first if second is value else None


def only_reader(value: ir.Value) -> ir.Node | None:
    """The one node that reads this value; None where there are several, or where it leaves the graph."""
    readers = value.consumers()
    if value.is_graph_output() or len(readers) != 1 or readers[0].graph is not value.graph:
        return None
    return readers[0]


def read_within(nodes: list[ir.Node], result: ir.Value) -> bool:
    """Whether nothing outside of these nodes reads what they make, ``result`` apart."""
    inside = set(nodes)
    made = [output for node in nodes for output in node.outputs if output is not result]
    return not any(value.is_graph_output() or set(value.consumers()) - inside for value in made)


def behind(value: ir.Value, stop: set[ir.Value]) -> Iterator[ir.Node]:
    """Every node that this value is computed from, up to ``stop``, the last one first."""
    seen: set[ir.Node] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        node = None if one in stop else one.producer()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        waiting.extend(source for source in node.inputs if source is not None)


def adds_axes(nodes: list[ir.Node], data: ir.Value) -> bool:
    """Whether a constant that these nodes read has more axes than the data: what they make has as many then."""
    most = max(1, 0 if data.shape is None else len(data.shape))
    read = (value for node in nodes for value in node.inputs if value is not None)
    return any(is_constant(value) and array_of(value).ndim > most for value in read)


def last_axis(value: ir.Value | None) -> int | None:
    """Its length, where it is known."""
    if value is None or value.shape is None or not len(value.shape):
        return None
    length = value.shape[-1]
    return length if isinstance(length, int) else None
