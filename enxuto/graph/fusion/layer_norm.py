"""Recognises layer normalization written out in its parts, and writes the one operator.

Source: Ba, Kiros and Hinton, "Layer Normalization", 2016; ONNX LayerNormalization (opset 17).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.fusion.match import integers, is_number, made_by, number, only_reader, other_input, read_within
from enxuto.graph.normalize import opset_of
from enxuto.graph.weights import array_of, input_of, is_constant

OPSET = 17
"""The first with the operator."""


@dataclass(frozen=True)
class _Norm:
    data: ir.Value
    epsilon: float
    scale: ir.Value
    bias: ir.Value
    nodes: list[ir.Node]


def written_out(graph: ir.Graph) -> bool:
    """Whether there is one to fuse, whatever the opset."""
    return any(_around(node) is not None for node in graph if node.op_type in ("Div", "Mul"))


def fuse_layer_norm(model: ir.Model) -> int:
    """Edit a normalized model in place; returns how many were fused. The opset must know the operator."""
    if opset_of(model) < OPSET:
        return 0
    editor, fused = Editor(model.graph), 0
    for node in list(model.graph):
        found = _around(node) if node.graph is not None and node.op_type in ("Div", "Mul") else None
        if found is None:
            continue
        last = found.nodes[-1]
        attributes: dict[str, int | float | str | list[int]] = {"axis": -1, "epsilon": found.epsilon}
        inputs = [found.data, found.scale, found.bias]
        name = f"{last.outputs[0].name}_fused"
        editor.replace(last, [editor.node("LayerNormalization", inputs, name, attributes=attributes)])
        model.graph.remove(list(reversed(found.nodes[:-1])), safe=True)
        fused += 1
    return fused


def _around(division: ir.Node) -> _Norm | None:
    """From the node that divides by the deviation: ``(x − mean) / √(variance + ε) · scale + bias``."""
    normal = _normal(division)
    if normal is None:
        return None
    data, epsilon, nodes = normal
    scaled = _weighted(division.outputs[0], "Mul")
    shifted = _weighted(scaled[0].outputs[0], "Add") if scaled is not None else None
    if scaled is None or shifted is None:
        return None
    widths = {array_of(scaled[1]).shape, array_of(shifted[1]).shape}
    nodes = [*nodes, division, scaled[0], shifted[0]]
    alike = len(widths) == 1 and len(next(iter(widths))) == 1 and _last(data) in (None, *next(iter(widths)))
    if not alike or not read_within(nodes, shifted[0].outputs[0]):
        return None
    return _Norm(data, epsilon, scaled[1], shifted[1], nodes)


def _normal(division: ir.Node) -> tuple[ir.Value, float, list[ir.Node]] | None:
    for centred_value in division.inputs:
        centred = made_by(centred_value, "Sub")
        spread = other_input(division, centred_value)
        deviation = _deviation(division, spread) if centred is not None else None
        if centred is None or deviation is None or (division.op_type == "Div" and centred_value is spread):
            continue
        variance, epsilon, nodes = deviation
        mean = _mean(centred.inputs[1], centred.inputs[0])
        squares = _mean_square(variance, centred, centred.inputs[0])
        if mean is not None and squares is not None and centred.inputs[0] is not None:
            return centred.inputs[0], epsilon, [mean, centred, *squares, *nodes]
    return None


def _deviation(division: ir.Node, value: ir.Value | None) -> tuple[ir.Value, float, list[ir.Node]] | None:
    """Behind ``√(variance + ε)``, or one over it where the node multiplies: variance, ε and the nodes."""
    outer: list[ir.Node] = []
    if division.op_type == "Mul":
        inverse = made_by(value, "Reciprocal", "Div")
        if inverse is None or (inverse.op_type == "Div" and not is_number(inverse.inputs[0], 1.0)):
            return None
        outer, value = [inverse], inverse.inputs[-1]
    elif value is not division.inputs[1]:
        return None
    root = made_by(value, "Sqrt", "Pow")
    if root is None or (root.op_type == "Pow" and not is_number(root.inputs[1], 0.5)):
        return None
    plus = made_by(root.inputs[0], "Add")
    if plus is None:
        return None
    for position in (0, 1):
        variance, epsilon = plus.inputs[1 - position], number(plus.inputs[position])
        if variance is not None and epsilon is not None and epsilon > 0:
            return variance, epsilon, [plus, root, *outer]
    return None


def _mean_square(variance: ir.Value, centred: ir.Node, data: ir.Value | None) -> list[ir.Node] | None:
    """Of the centred values: the mean, the square, and a second subtraction where the exporter wrote one."""
    mean = made_by(variance, "ReduceMean")
    square = made_by(mean.inputs[0], "Pow", "Mul") if mean is not None else None
    if mean is None or square is None or not _over_last_axis(mean):
        return None
    twice = is_number(square.inputs[1], 2.0) if square.op_type == "Pow" else square.inputs[0] is square.inputs[1]
    base = made_by(square.inputs[0], "Sub")
    if not twice or base is None:
        return None
    if base is centred:
        return [square, mean]
    second = _mean(base.inputs[1], base.inputs[0]) if base.inputs[0] is data else None
    if second is None:
        return None
    return [base, square, mean] if second is made_by(centred.inputs[1], "ReduceMean") else [second, base, square, mean]


def _mean(value: ir.Value | None, data: ir.Value | None) -> ir.Node | None:
    node = made_by(value, "ReduceMean")
    return node if node is not None and node.inputs[0] is data and _over_last_axis(node) else None


def _over_last_axis(mean: ir.Node) -> bool:
    keeps = mean.attributes.get("keepdims")
    given = mean.attributes.get("axes")
    axes = list(given.as_ints()) if given is not None else integers(input_of(mean, 1))
    rank = None if mean.inputs[0] is None or mean.inputs[0].shape is None else len(mean.inputs[0].shape)
    last = axes == [-1] or (rank is not None and axes == [rank - 1])
    return last and (keeps is None or keeps.as_int() == 1)


def _weighted(value: ir.Value, op_type: str) -> tuple[ir.Node, ir.Value] | None:
    """The only reader, and the float32 vector that it brings in."""
    reader = only_reader(value)
    if reader is None or made_by(reader.outputs[0], op_type) is None:
        return None
    weight = other_input(reader, value)
    if weight is None or not is_constant(weight) or array_of(weight).dtype != np.float32:
        return None
    return reader, weight


def _last(value: ir.Value) -> int | None:
    length = value.shape[-1] if value.shape is not None and len(value.shape) else None
    return length if isinstance(length, int) else None
