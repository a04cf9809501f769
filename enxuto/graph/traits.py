"""What a model is like, as far as techniques must know before they touch it."""

from __future__ import annotations

import onnx_ir as ir

_INTEGER_OPERATORS = frozenset(
    {
        "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QLinearConv",
        "QLinearMatMul", "QLinearAdd", "QGemm", "QAttention", "DynamicQuantizeMatMul", "MatMulIntegerToFloat",
        "MatMulNBits", "GatherBlockQuantized", "DynamicQuantizeLSTM",
    }
)  # fmt: skip


def is_quantized(model: ir.Model) -> bool:
    """Whether any node computes in integers or restores quantized weights."""
    return any(node.op_type in _INTEGER_OPERATORS for node in model.graph.all_nodes())


def weight_types(model: ir.Model) -> set[str]:
    """Element types of weights with at least 16 elements: scalars and shapes say nothing."""
    return {
        str(value.dtype.name).lower()
        for graph in model.graphs()
        for value in graph.initializers.values()
        if value.dtype is not None and value.const_value is not None and value.const_value.size >= 16
    }
