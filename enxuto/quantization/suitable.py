"""Whether a model can be quantized at all, with the reason where it cannot."""

from __future__ import annotations

import onnx_ir as ir

from enxuto.errors import NotApplicable
from enxuto.graph.traits import is_quantized, weight_types
from enxuto.quantization.linear import Linear, linears


def require_float_linears(model: ir.Model, operators: frozenset[str]) -> list[Linear]:
    """Nodes of these operators with float32 weights in a normalized model; NotApplicable where there are none."""
    if is_quantized(model):
        raise NotApplicable(
            "The model is quantized already.",
            code="already_quantized",
            hint="Start from the floating-point model.",
        )
    found = list(linears(model.graph, operators))
    if not found:
        types = sorted(weight_types(model) & {"float16", "bfloat16", "double"})
        stored = f" Weights are stored as {', '.join(types)}." if types else ""
        raise NotApplicable(
            f"No {', '.join(sorted(operators))} outside control flow has float32 weights of its own.{stored}",
            code="nothing_to_quantize",
            hint="Export the model with float32 weights." if types else "",
        )
    return found
