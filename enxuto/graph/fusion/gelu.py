"""Recognises the Gaussian error linear unit, written out with Erf or with Tanh, and writes the one operator.

Source: Hendrycks and Gimpel, "Gaussian Error Linear Units (GELUs)", 2016: ``x · Φ(x)``, and its approximation
``x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.fusion.match import adds_axes, is_number, made_by, other_input, read_within, with_number
from enxuto.graph.normalize import opset_of

_OPSET = 20
"""The first with a Gelu of its own; before, onnxruntime's is written."""
DOMAIN = "com.microsoft"


@dataclass(frozen=True)
class _Gelu:
    data: ir.Value
    nodes: list[ir.Node]
    tanh: bool


def fuse_gelu(model: ir.Model) -> int:
    """Edit a normalized model in place; returns how many were fused."""
    editor, fused = Editor(model.graph), 0
    for node in list(model.graph):
        found = _around(node) if node.op_type in ("Erf", "Tanh") and made_by(node.outputs[0], node.op_type) else None
        if found is not None and found.data.dtype in (ir.DataType.FLOAT, None):
            _write(model, editor, found)
            fused += 1
    return fused


def _write(model: ir.Model, editor: Editor, found: _Gelu) -> None:
    last = found.nodes[-1]
    name = f"{last.outputs[0].name}_fused"
    if opset_of(model) >= _OPSET:
        how = {"approximate": "tanh" if found.tanh else "none"}
        editor.replace(last, [editor.node("Gelu", [found.data], name, attributes={**how})])
    else:
        operator = "FastGelu" if found.tanh else "Gelu"
        editor.replace(last, [editor.node(operator, [found.data], name, DOMAIN)])
        model.opset_imports[DOMAIN] = 1
    model.graph.remove(_unread_first(found.nodes[:-1]), safe=True)


def _around(middle: ir.Node) -> _Gelu | None:
    """From the Erf or Tanh outwards: what it is of, and the two products behind ``1 + …``."""
    tanh = middle.op_type == "Tanh"
    inner = _cubic(middle.inputs[0]) if tanh else _over_root_two(middle.inputs[0])
    plus = _single_reader(middle.outputs[0], "Add")
    if inner is None or plus is None or not is_number(other_input(plus, middle.outputs[0]), 1.0):
        return None
    data, before = inner
    products = _halved(plus.outputs[0], data)
    if products is None:
        return None
    nodes = [*before, middle, plus, *products]
    if adds_axes(nodes, data) or not read_within(nodes, nodes[-1].outputs[0]):
        return None
    return _Gelu(data, nodes, tanh)


def _over_root_two(value: ir.Value | None) -> tuple[ir.Value, list[ir.Node]] | None:
    node = made_by(value, "Div", "Mul")
    scaled = with_number(node) if node is not None else None
    if node is None or scaled is None:
        return None
    data, factor = scaled
    if node.op_type == "Div" and (data is not node.inputs[0] or not math.isclose(factor, math.sqrt(2), rel_tol=1e-4)):
        return None
    if node.op_type == "Mul" and not math.isclose(factor, math.sqrt(0.5), rel_tol=1e-4):
        return None
    return data, [node]


def _cubic(value: ir.Value | None) -> tuple[ir.Value, list[ir.Node]] | None:
    """``√(2/π) · (x + 0.044715 · x³)``: x and the nodes."""
    outer = made_by(value, "Mul")
    scaled = with_number(outer) if outer is not None else None
    if outer is None or scaled is None or not math.isclose(scaled[1], math.sqrt(2 / math.pi), rel_tol=1e-4):
        return None
    sum_node = made_by(scaled[0], "Add")
    for data in sum_node.inputs if sum_node is not None else ():
        small = made_by(other_input(sum_node, data), "Mul") if sum_node is not None and data is not None else None
        cube = with_number(small) if small is not None else None
        if data is None or sum_node is None or small is None or cube is None:
            continue
        powers = _cube(cube[0], data)
        if powers is not None and math.isclose(cube[1], 0.044715, rel_tol=1e-4):
            return data, [*powers, small, sum_node, outer]
    return None


def _cube(value: ir.Value, data: ir.Value) -> list[ir.Node] | None:
    power = made_by(value, "Pow")
    if power is not None:
        return [power] if power.inputs[0] is data and is_number(power.inputs[1], 3.0) else None
    product = made_by(value, "Mul")
    square = made_by(other_input(product, data), "Mul", "Pow") if product is not None else None
    if product is None or square is None or square.inputs[0] is not data:
        return None
    twice = square.inputs[1] is data if square.op_type == "Mul" else is_number(square.inputs[1], 2.0)
    return [square, product] if twice else None


def _halved(value: ir.Value, data: ir.Value) -> list[ir.Node] | None:
    """The two products that bring in one half and x, in any order; one half may be taken of x beforehand."""
    first = _single_reader(value, "Mul")
    if first is None:
        return None
    other = other_input(first, value)
    half = made_by(other, "Mul")
    if half is not None and _is_half_of(half, data):
        return [half, first]
    second = _single_reader(first.outputs[0], "Mul")
    if second is None:
        return None
    last = other_input(second, first.outputs[0])
    right = (other is data and is_number(last, 0.5)) or (is_number(other, 0.5) and last is data)
    return [first, second] if right else None


def _is_half_of(node: ir.Node, data: ir.Value) -> bool:
    scaled = with_number(node)
    return scaled is not None and scaled[0] is data and math.isclose(scaled[1], 0.5)


def _single_reader(value: ir.Value, op_type: str) -> ir.Node | None:
    readers = value.consumers()
    if value.is_graph_output() or len(readers) != 1 or made_by(readers[0].outputs[0], op_type) is None:
        return None
    return readers[0]


def _unread_first(nodes: list[ir.Node]) -> list[ir.Node]:
    return list(reversed(nodes))
