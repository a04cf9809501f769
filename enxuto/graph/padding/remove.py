"""Removes padding from a transformer's work: columns that are padding in every sample, then what is left in between."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as passes

from enxuto.errors import BadInput, NotApplicable
from enxuto.graph.normalize import keep_signature, normalized
from enxuto.graph.opset import with_opset
from enxuto.graph.padding.mask_input import Sequences, same_outputs, sequences_of
from enxuto.graph.padding.pack import Packing
from enxuto.graph.padding.tokenwise import token_wise
from enxuto.graph.padding.trim import OPSET, trim
from enxuto.techniques.base import Context


def without_padding(model: ir.Model, context: Context, *, within_batch: bool) -> tuple[ir.Model, list[str]]:
    """A copy, and notes.

    Raises:
        NotApplicable: no input tells tokens from padding (``no_padding_mask``), or outputs are as long as the inputs.
    """
    found = _sequences(model, context)
    if found is None:
        raise NotApplicable(
            "No input was found that hides the end of the sequences from every output.",
            code="no_padding_mask",
            hint="It works on models with a mask as an input, a sequence axis of any length, and outputs without one.",
        )
    trimmed = normalized(with_opset(model, OPSET, context))
    mask = trim(trimmed, found)
    notes = [
        f"Columns that '{found.mask}' calls padding in every sample are cut off before anything is computed. What that "
        "gains is a matter of the data: nothing where samples come without padding."
    ]
    if within_batch:
        packed, count = _packed(model, trimmed, str(mask.name), found, context)
        if packed is not None:
            keep_signature(model, packed)
            return packed, [*notes, f"Between attentions, tokens lie end to end without padding: {count} operators."]
        notes.append(
            "Padding between samples is kept: no part of the model was recognised that treats tokens alone, "
            "or an output may be read from a position that the mask hides."
        )
    keep_signature(model, trimmed)
    return trimmed, notes


def _sequences(model: ir.Model, context: Context) -> Sequences | None:
    try:
        return sequences_of(model, context)
    except BadInput:
        return None


def _packed(
    model: ir.Model, trimmed: ir.Model, mask: str, found: Sequences, context: Context
) -> tuple[ir.Model | None, int]:
    """A copy in which tokens are packed; None where there is nothing to pack, or where outputs would change."""
    copy = trimmed.clone()
    value = next(output for node in copy.graph for output in node.outputs if output.name == mask)
    part = token_wise(copy.graph, value)
    if part is None:
        return None, 0
    Packing(copy.graph, value).pack(part)
    ir.passes.Sequential(passes.TopologicalSortPass(), passes.RemoveUnusedNodesPass())(copy)
    return (copy, len(part.nodes)) if same_outputs(model, copy, found, context) else (None, 0)
