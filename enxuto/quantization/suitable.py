"""Whether a model can be quantized at all, with the reason where it cannot."""

from __future__ import annotations

import onnx_ir as ir

from enxuto.errors import NotApplicable
from enxuto.graph.traits import is_quantized, weight_types
from enxuto.quantization.linear import Linear, linears
from enxuto.words import listed, percent

_SMALLEST_SHARE = 0.01
"""Of the weights, below which neither size nor speed would change by what can be measured."""


def require_float_linears(model: ir.Model, operators: frozenset[str], others: int = 0) -> list[Linear]:
    """Nodes of these operators with float32 weights in a normalized model; NotApplicable where they hold too little.

    ``others``: elements of weights of further operators that the technique takes.
    """
    if is_quantized(model):
        raise NotApplicable(
            "The model is quantized already.",
            code="already_quantized",
            hint="Start from the floating-point model.",
        )
    found = list(linears(model.graph, operators))
    if not found and not others:
        types = sorted(weight_types(model) & {"float16", "bfloat16", "double"})
        stored = f" Weights are stored as {', '.join(types)}." if types else ""
        raise NotApplicable(
            f"The model holds no {' or '.join(sorted(operators))}, outside of control flow, with float32 weights of "
            f"its own.{stored}",
            code="nothing_to_quantize",
            hint="Export the model with float32 weights." if types else "Leave this technique out of the recipe.",
        )
    share = (others + sum(one.weight.size for one in found)) / max(_float_elements(model), 1)
    if share < _SMALLEST_SHARE:
        raise NotApplicable(
            f"{listed(sorted(operators))} hold {percent(share)} of the model's weights: nothing would be gained.",
            code="too_little_to_quantize",
            hint="Leave this technique out of the recipe."
            if "Conv" in operators
            else "Use a technique that takes convolutions too, such as static_int8.",
        )
    return found


def _float_elements(model: ir.Model) -> int:
    return sum(
        value.const_value.size
        for value in model.graph.initializers.values()
        if value.const_value is not None and value.dtype == ir.DataType.FLOAT
    )
