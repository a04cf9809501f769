"""Embedding tables in int8: rows are gathered as integers and scaled after, each by its own scale."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.weights import array_of, in_default_domain, is_constant
from enxuto.quantization.affine import quantize_weight, weight_scales

_SMALLEST_ELEMENTS = 1024
"""Of a table that is worth the nodes that restore its rows."""


def store_tables(graph: ir.Graph) -> int:
    """Edit a normalized graph in place; returns how many lookups read int8 afterwards."""
    editor = Editor(graph)
    found = [node for node in graph if node.op_type == "Gather" and in_default_domain(node) and _reads_table(node)]
    for node in found:
        _store(editor, node)
    return len(found)


def _store(editor: Editor, node: ir.Node) -> None:
    stored, rows = node.inputs
    if stored is None:
        return
    table = array_of(stored)
    scales = weight_scales(table, 0, 127)
    name = str(node.outputs[0].name)
    integers = editor.weight(f"{stored.name}_int8", quantize_weight(table, scales, 0, 127))
    factors = editor.weight(f"{stored.name}_scale", scales.reshape(-1, *[1] * (table.ndim - 1)))
    picked = editor.node("Gather", [integers, rows], f"{name}_rows")
    cast = editor.node("Cast", [picked.outputs[0]], f"{name}_cast", attributes={"to": int(ir.DataType.FLOAT)})
    factor = editor.node("Gather", [factors, rows], f"{name}_factor")
    scaled = editor.node("Mul", [cast.outputs[0], factor.outputs[0]], f"{name}_scaled")
    editor.replace(node, [picked, cast, factor, scaled])


def _reads_table(node: ir.Node) -> bool:
    table = node.inputs[0]
    axis = node.attributes.get("axis")
    return (
        table is not None
        and is_constant(table)
        and table.dtype == ir.DataType.FLOAT
        and array_of(table).ndim >= 2
        and array_of(table).size >= _SMALLEST_ELEMENTS
        and bool(np.isfinite(array_of(table)).all())
        and (axis is None or axis.as_int() == 0)
        and all(use.node.op_type == "Gather" for use in table.uses())
    )
