"""Embedding tables in int8: rows are gathered as integers and scaled after, each by its own scale.

Scales are quantized in turn, as multiples of one number for the whole table: a vocabulary of 30,000 tokens has as many
scales, and 4 bytes for each would be a hundredth of a small model's file. Source of the idea: Dettmers et al., "QLoRA",
2023 (double quantization).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.weights import array_of, in_default_domain, is_constant
from enxuto.quantization.affine import quantize_weight, takes_integers, weight_scales

_SMALLEST_ELEMENTS = 1024
"""Of a table that is worth the nodes that restore its rows."""


def store_tables(graph: ir.Graph, lookups: Sequence[ir.Node] | None = None) -> int:
    """Edit a normalized graph in place: the lookups given, else all; returns how many read int8 afterwards."""
    editor = Editor(graph)
    every = (node for node in graph if node.op_type == "Gather" and in_default_domain(node) and reads_table(node))
    found = list(every if lookups is None else lookups)
    for node in found:
        _store(editor, node)
    return len(found)


def _store(editor: Editor, node: ir.Node) -> None:
    stored, rows = node.inputs
    if stored is None:
        return
    table = array_of(stored)
    levels, unit = _row_scales(table)
    integers = quantize_weight(table, levels.astype(np.float32) * unit, 0, 127)
    column = levels.reshape(-1, *[1] * (table.ndim - 1))
    name, wide = str(node.outputs[0].name), {"to": int(ir.DataType.FLOAT)}
    picked = editor.node("Gather", [editor.weight(f"{stored.name}_int8", integers), rows], f"{name}_rows")
    cast = editor.node("Cast", picked.outputs, f"{name}_cast", attributes={**wide})
    level = editor.node("Gather", [editor.weight(f"{stored.name}_level", column), rows], f"{name}_level")
    widened = editor.node("Cast", level.outputs, f"{name}_wide", attributes={**wide})
    factor = editor.node("Mul", [widened.outputs[0], editor.weight(f"{stored.name}_unit", unit)], f"{name}_factor")
    scaled = editor.node("Mul", [cast.outputs[0], factor.outputs[0]], f"{name}_scaled")
    editor.replace(node, [picked, cast, level, widened, factor, scaled])


def _row_scales(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8, one a row, and the float32 number that they are multiples of; rounded up, so that no row is clipped."""
    scales = weight_scales(table, 0, 127)
    unit = np.asarray(scales.max() / 255, dtype=np.float32)
    return np.ceil(scales / unit).clip(1, 255).astype(np.uint8), unit


def reads_table(node: ir.Node) -> bool:
    """Whether a Gather reads whole rows of a constant table, as nothing else does."""
    table = node.inputs[0]
    axis = node.attributes.get("axis")
    return (
        table is not None
        and is_constant(table)
        and table.dtype == ir.DataType.FLOAT
        and array_of(table).ndim >= 2
        and array_of(table).size >= _SMALLEST_ELEMENTS
        and takes_integers(array_of(table))
        and (axis is None or axis.as_int() == 0)
        and all(use.node.op_type == "Gather" for use in table.uses())
    )
