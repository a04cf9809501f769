"""What a model is like, as far as techniques must know before they touch it."""

from __future__ import annotations

import onnx_ir as ir

_INTEGER_OPERATORS = frozenset(
    {
        "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QLinearConv",
        "QLinearMatMul", "QLinearAdd", "QGemm", "QAttention", "DynamicQuantizeMatMul", "MatMulIntegerToFloat",
        "DynamicQuantizeLSTM",
    }
)  # fmt: skip
_SMALL_WEIGHTS = frozenset({"MatMulNBits", "GatherBlockQuantized"})


def is_quantized(model: ir.Model) -> bool:
    """Whether any node computes in integers or reads quantized weights."""
    return has_integer_operators(model) or has_small_weights(model)


def has_integer_operators(model: ir.Model) -> bool:
    """Whether activations are quantized, or operators for that stand in the graph."""
    return any(node.op_type in _INTEGER_OPERATORS for node in model.graph.all_nodes())


def has_small_weights(model: ir.Model) -> bool:
    """Whether weights are read in few bits by operators that compute in floating point."""
    return any(node.op_type in _SMALL_WEIGHTS for node in model.graph.all_nodes())


def weight_types(model: ir.Model) -> set[str]:
    """Element types of weights with at least 16 elements: scalars and shapes say nothing."""
    return {
        str(value.dtype.name).lower()
        for graph in model.graphs()
        for value in graph.initializers.values()
        if value.dtype is not None and value.const_value is not None and value.const_value.size >= 16
    }
