"""Cuts off, inside the model, the columns that are padding in every sample of a batch."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.normalize import opset_of
from enxuto.graph.padding.mask_input import Sequences

OPSET = 13
_REDUCE_BY_INPUT = 18
"""The first where ReduceMax takes its axes as an input."""


def trim(model: ir.Model, found: Sequences) -> ir.Value:
    """Edit a normalized model in place; returns the mask as it is after the cut."""
    editor, graph = Editor(model.graph), model.graph
    inputs = {str(value.name): value for value in graph.inputs}
    length = _longest(editor, inputs[found.mask], opset_of(model))
    start, axis = editor.weight("trim_start", np.array([0])), editor.weight("trim_axis", np.array([1]))
    nodes = list(length)
    cut: dict[str, ir.Value] = {}
    for name in found.names:
        value = inputs[name]
        node = editor.node("Slice", [value, start, length[-1].outputs[0], axis], f"{name}_trimmed")
        node.outputs[0].type = value.type
        nodes.append(node)
        cut[name] = node.outputs[0]
    inside = set(nodes)
    for name, result in cut.items():
        for use in tuple(inputs[name].uses()):
            if use.node not in inside:
                use.node.replace_input_with(use.idx, result)
    graph.insert_before(graph[0], nodes)
    return cut[found.mask]


def _longest(editor: Editor, mask: ir.Value, opset: int) -> list[ir.Node]:
    """Nodes, the last of which gives [1]: how many columns there are up to the last one that holds a token."""
    second, none = editor.weight("trim_second", np.array(1)), editor.weight("trim_none", np.array([0]))
    where = editor.node("NonZero", [mask], "trim_where")
    columns = editor.node("Gather", [where.outputs[0], second], "trim_columns", attributes={"axis": 0})
    joined = editor.node("Concat", [none, columns.outputs[0]], "trim_joined", attributes={"axis": 0})
    given: list[ir.Value | None] = [joined.outputs[0]]
    attributes: dict[str, int | float | str | list[int]] = {"keepdims": 1}
    if opset >= _REDUCE_BY_INPUT:
        given.append(none)
    else:
        attributes["axes"] = [0]
    last = editor.node("ReduceMax", given, "trim_last", attributes=attributes)
    count = editor.node("Add", [last.outputs[0], editor.weight("trim_one", np.array([1]))], "trim_length")
    return [where, columns, joined, last, count]
