"""What the graph says: signature, opsets, operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from onnx import ModelProto, TensorProto, TensorShapeProto, ValueInfoProto

from enxuto.model_file.proto import nodes
from enxuto.signature import TensorSpec

_DTYPES = {
    "float": "float32",
    "double": "float64",
    "float8e4m3fn": "float8_e4m3fn",
    "float8e4m3fnuz": "float8_e4m3fnuz",
    "float8e5m2": "float8_e5m2",
    "float8e5m2fnuz": "float8_e5m2fnuz",
    "undefined": "unknown",
}
"""Where NumPy's name is not ONNX's own in lower case."""

_QUANTIZED = frozenset(
    {
        "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "MatMulNBits",
        "GatherBlockQuantized", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "MatMulIntegerToFloat", "QGemm",
        "QAttention", "QEmbedLayerNormalization", "QMoE", "MatMulBnb4", "MatMulFpQ4",
    }
)  # fmt: skip
_PRODUCTS = frozenset({"Conv", "MatMul", "Gemm", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"})
_CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})


def tensor_specs(proto: ModelProto) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Inputs and outputs. Weights that old files also list among the inputs are left out."""
    weights = {tensor.name for tensor in proto.graph.initializer}
    weights.update(sparse.values.name for sparse in proto.graph.sparse_initializer)
    return _specs(value for value in proto.graph.input if value.name not in weights), _specs(proto.graph.output)


def _specs(values: Iterable[ValueInfoProto]) -> list[TensorSpec]:
    return [_spec(value) for value in values]


def _spec(value: ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        return TensorSpec(name=value.name, dtype="unknown", shape=None)
    shape = [_axis(axis) for axis in tensor.shape.dim] if tensor.HasField("shape") else None
    return TensorSpec(name=value.name, dtype=dtype_name(tensor.elem_type), shape=shape)


def _axis(axis: TensorShapeProto.Dimension) -> int | str | None:
    if axis.HasField("dim_value"):
        return axis.dim_value if axis.dim_value >= 0 else None
    return axis.dim_param or None


def dtype_name(number: int) -> str:
    if number not in TensorProto.DataType.values():
        return "unknown"
    name: str = TensorProto.DataType.Name(number).lower()
    return _DTYPES.get(name, name)


def opsets(proto: ModelProto) -> dict[str, int]:
    return {entry.domain or "ai.onnx": entry.version for entry in proto.opset_import}


def operators(proto: ModelProto) -> dict[str, int]:
    """Most frequent first."""
    standard = ("", "ai.onnx")
    names = (node.op_type if node.domain in standard else f"{node.domain}::{node.op_type}" for node in nodes(proto))
    return dict(Counter(names).most_common())


def quantized(histogram: dict[str, int]) -> bool:
    types = {name.rpartition("::")[2] for name in histogram}
    return bool(types & _QUANTIZED) or any(name.startswith("QLinear") for name in types)


def branches(proto: ModelProto) -> bool:
    """Whether two of the main graph's products or convolutions could run at the same time: in a chain, each has all
    that stand before it among those that it waits for.
    """
    behind: dict[str, int] = {}
    """By the name of a value, what it waits for: one bit for each product."""
    products = 0
    for node in proto.graph.node:
        waits = 0
        for name in node.input:
            waits |= behind.get(name, 0)
        if node.op_type in _PRODUCTS:
            if waits.bit_count() < products:
                return True
            waits |= 1 << products
            products += 1
        behind.update(dict.fromkeys(node.output, waits))
    return False


def control_flow(histogram: dict[str, int]) -> bool:
    return not _CONTROL_FLOW.isdisjoint(histogram)
