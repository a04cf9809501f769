"""Writes MultiHeadAttention in place of attention that was found, and proven to be it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx_ir as ir
import onnx_ir.passes.common as passes

from enxuto.graph.edit import Editor
from enxuto.graph.fusion.attention import Attention, attentions
from enxuto.graph.fusion.attention_proof import proven_mask
from enxuto.graph.fusion.match import made_by, other_input
from enxuto.graph.fusion.write_attention import Mask, as_nodes, attention_steps
from enxuto.graph.normalize import opset_of
from enxuto.graph.weights import array_of, is_constant

DOMAIN = "com.microsoft"


def fuse_attention(model: ir.Model, scratch: Path, seed: int) -> int:
    """Edit a normalized model in place; returns how many were fused.

    Inference of shapes stops where an older exporter joins heads again: what was fused tells it the shape behind.
    """
    editor, casts = Editor(model.graph), dict[ir.Value, ir.Value]()
    mask: Mask | None = None
    fused, before = 0, -1
    while fused > before:
        before = fused
        infer_shapes(model)
        for found in list(attentions(model.graph)):
            if found.output.producer() is None:
                continue  # written already, in another reading
            proven = proven_mask(model, found, mask, scratch, seed)
            if proven is not None:
                mask = proven
                _write(editor, found, proven, casts, opset_of(model))
                model.opset_imports[DOMAIN] = 1
                fused += 1
    return fused


def infer_shapes(model: ir.Model) -> None:
    """As far as they can be known; a model that holds what inference does not understand stays as it was."""
    passes.ShapeInferencePass(check_type=False, strict_mode=False)(model)


def _write(editor: Editor, found: Attention, mask: Mask, casts: dict[ir.Value, ir.Value], opset: int) -> None:
    joined = found.output.producer()
    if joined is None:
        return
    key = replace(found.key, projection=_without_bias(found.key.projection)) if found.key.count == 1 else found.key
    written = replace(mask, padding=_as_int32(editor, mask.padding, casts))
    shape = _attended_shape(found)
    if found.output.shape is None and shape is not None and found.flat is None and not found.sequence_first:
        found.output.shape = shape.copy()
    nodes = as_nodes(attention_steps(replace(found, key=key), written, opset), editor, str(found.output.name))
    for node in nodes:
        if node.op_type == "MultiHeadAttention":  # which inference of shapes does not know
            node.outputs[0].dtype, node.outputs[0].shape = ir.DataType.FLOAT, shape
    editor.replace(joined, nodes)


def _attended_shape(found: Attention) -> ir.Shape | None:
    """[batch, sequence, heads · width]"""
    query = found.query.projection
    if query.shape is None:
        return None
    first, second, _ = query.shape
    lengths = (second, first) if found.sequence_first else (first, second)
    return ir.Shape([*lengths, found.heads * found.width])


def _without_bias(key: ir.Value) -> ir.Value:
    """A bias of keys adds the same number to all scores of a query, and softmax takes it out again."""
    addition = made_by(key, "Add")
    product = next((value for value in addition.inputs if made_by(value, "MatMul")), None) if addition else None
    bias = other_input(addition, product) if addition is not None and product is not None else None
    alone = bias is not None and is_constant(bias) and array_of(bias).ndim == 1 and len(key.uses()) == 1
    return product if alone and product is not None else key


def _as_int32(editor: Editor, mask: ir.Value | None, casts: dict[ir.Value, ir.Value]) -> ir.Value | None:
    """One cast for all layers."""
    if mask is None or mask.dtype == ir.DataType.INT32:
        return mask
    if mask not in casts:
        cast = editor.node("Cast", [mask], f"{mask.name}_int32", attributes={"to": int(ir.DataType.INT32)})
        editor.graph.insert_before(editor.graph[0], cast)
        casts[mask] = cast.outputs[0]
    return casts[mask]
