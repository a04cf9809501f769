"""Writes MultiHeadAttention in place of attention that was found, and proven to be it."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import onnx_ir.passes.common as passes

from enxuto.graph.edit import Editor
from enxuto.graph.fusion.attention import Attention, attentions
from enxuto.graph.fusion.attention_proof import Mask, proven_mask
from enxuto.graph.fusion.match import made_by, other_input
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
            proven = proven_mask(model, found, mask, scratch, seed)
            if proven is not None:
                mask = proven
                _write(editor, found, proven, casts)
                model.opset_imports[DOMAIN] = 1
                fused += 1
    return fused


def infer_shapes(model: ir.Model) -> None:
    """As far as they can be known; a model that holds what inference does not understand stays as it was."""
    passes.ShapeInferencePass(check_type=False, strict_mode=False)(model)


def _write(editor: Editor, found: Attention, mask: Mask, casts: dict[ir.Value, ir.Value]) -> None:
    joined = found.output.producer()
    if joined is None:
        return
    padding = _as_int32(editor, mask.padding, casts)
    inputs = [found.query, _without_bias(found.key), found.value, None, padding, mask.added]
    while inputs[-1] is None:
        inputs.pop()
    attributes: dict[str, int | float | str | list[int]] = {
        "num_heads": found.heads, "scale": found.scale, "mask_filter_value": mask.fill,
    }  # fmt: skip
    if mask.causal:
        attributes["unidirectional"] = 1
    name = str(found.output.name)
    if found.output.shape is None and found.query.shape is not None and found.flat is None:
        found.output.shape = found.query.shape.copy()
    nodes = [editor.node("MultiHeadAttention", inputs, f"{name}_fused", DOMAIN, attributes=attributes)]
    if found.flat is not None:
        nodes.append(editor.node("Reshape", [nodes[0].outputs[0], found.flat], f"{name}_flat"))
    editor.replace(joined, nodes)


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
