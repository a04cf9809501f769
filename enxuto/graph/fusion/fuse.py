"""All fusions for transformers in their order, and the check that outputs stay what they were."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as passes

from enxuto.errors import NotApplicable
from enxuto.graph.edit import drop_identities
from enxuto.graph.fusion.fuse_attention import fuse_attention, infer_shapes
from enxuto.graph.fusion.gelu import fuse_gelu
from enxuto.graph.fusion.layer_norm import OPSET, fuse_layer_norm, written_out
from enxuto.graph.fusion.residual import keep_apart
from enxuto.graph.fusion.sizes import fold_sizes
from enxuto.graph.fusion.turns import drop_turns
from enxuto.graph.normalize import keep_signature, normalized
from enxuto.graph.opset import with_opset
from enxuto.techniques.base import Context


def fused(
    model: ir.Model, context: Context, *, attention: bool, gelu: bool, layer_norm: bool
) -> tuple[ir.Model, list[str]]:
    """A copy with what was recognised fused, and a note for each kind that was; no notes where nothing was."""
    given, left = _raised(model, context) if layer_norm else (model, [])
    copy = normalized(given)
    declared = {output: (output.type, output.shape) for node in copy.graph.all_nodes() for output in node.outputs}
    drop_identities(copy.graph)  # older exporters write equal weights once, and the others after it
    infer_shapes(copy)
    if attention:
        fold_sizes(copy)
    norms = fuse_layer_norm(copy) if layer_norm else 0
    units = fuse_gelu(copy) if gelu else 0
    heads = fuse_attention(copy, context.scratch, context.seed) if attention else 0
    if heads:
        passes.RemoveUnusedNodesPass()(copy)
        infer_shapes(copy)
        drop_turns(copy)
        drop_identities(copy.graph)
    sums = keep_apart(copy) if layer_norm else 0
    notes = [
        *_note(heads, "Attentions fused into one operator each: {}."),
        *_note(units, "GELUs fused into one operator each: {}."),
        *_note(norms, "Layer normalizations fused into one operator each: {}."),
        *_note(sums, "Additions kept apart from the layer normalization behind them, which is faster: {}."),
    ]
    ir.passes.Sequential(passes.RemoveUnusedNodesPass(), passes.DeduplicateInitializersPass())(copy)
    for node in copy.graph.all_nodes():  # what was inferred on the way would only make the file larger
        for output in node.outputs:
            output.type, output.shape = declared.get(output, (None, None))
    keep_signature(model, copy)
    return copy, [*notes, *left] if notes else []


def _raised(model: ir.Model, context: Context) -> tuple[ir.Model, list[str]]:
    """Of an opset that knows layer normalization, where one is spelled out; where that cannot be, as it is, and why."""
    copy = normalized(model)
    drop_identities(copy.graph)
    if not written_out(copy.graph):
        return model, []
    try:
        return with_opset(model, OPSET, context), []
    except NotApplicable as reason:
        return model, [f"Layer normalizations are left in their parts: {reason.detail}"]


def _note(count: int, text: str) -> list[str]:
    return [text.format(count)] if count else []
