"""How much a node computes and moves, by the shapes it ran on.

Multiplications and additions count one each. Products of matrices and convolutions count their multiply-adds and no
bias or activation that is fused into them: less than one part in a hundred for all but the smallest. Comparisons count
nothing. Functions such as ``exp`` are made differently by every kernel: what uses them has no count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from enxuto.runtimes.recording import RanNode, Tensor

_Inputs = Sequence[Tensor | None]


@dataclass(frozen=True)
class _Product:
    """Where an operator that multiplies matrices finds its operands."""

    count: Callable[[RanNode], int | None]
    integer: bool = False


def count_operations(node: RanNode) -> int | None:
    """None where it is not known, for this operator or because a shape is missing."""
    if node.op_type in _PRODUCTS:
        return _PRODUCTS[node.op_type].count(node)
    if node.op_type in _MOVES:
        return 0
    count = _ELEMENTWISE.get(node.op_type)
    if count is not None:
        return None if (out := _output(node)) is None else count * out.count
    return _REDUCTIONS[node.op_type](node) if node.op_type in _REDUCTIONS else None


def precision_of(node: RanNode) -> str | None:
    """What it multiplies in; None where it multiplies nothing."""
    product = _PRODUCTS.get(node.op_type)
    if node.precision is not None:
        return node.precision if product or node.op_type in _ELEMENTWISE or node.op_type in _REDUCTIONS else None
    if product and (product.integer or node.attributes.get("accuracy_level") == _ACCUMULATES_INT8):
        return "int8"
    if node.op_type in _MOVES or not count_operations(node):
        return None
    kinds = [tensor.dtype for tensor in (*node.outputs, *node.inputs) if tensor and tensor.dtype.startswith("float")]
    return kinds[0] if kinds else None


def moved_bytes(node: RanNode) -> int | None:
    """Inputs, weights and outputs, each once; None where a shape is missing."""
    outputs = _bytes(node.outputs)
    if outputs is None or not node.complete:
        return None
    if node.op_type in _VIEWS:
        return 0
    if node.op_type in _READ_SHAPE_ONLY:
        return outputs
    if node.op_type in _READ_WHAT_THEY_WRITE:
        return 2 * outputs
    inputs = _bytes(node.inputs)
    return None if inputs is None else inputs + outputs


def weight_bytes(node: RanNode) -> int | None:
    """Of what it moves, what is the same in every call; None where a shape is missing."""
    moved = moved_bytes(node)
    weights = _bytes([tensor for tensor in node.inputs if tensor and tensor.is_weight])
    return None if moved is None or weights is None else min(weights, moved - (_bytes(node.outputs) or 0))


def output_bytes(node: RanNode) -> int | None:
    return _bytes(node.outputs) if node.complete else None


def _bytes(tensors: _Inputs) -> int | None:
    """Of tensors together, each once. Those that are left out do not count; a name alone says nothing of a size."""
    sizes = {tensor.name or position: tensor.size_bytes for position, tensor in enumerate(tensors) if tensor}
    if any(size is None for size in sizes.values()):
        return None
    return sum(size for size in sizes.values() if size is not None)


def _at(tensors: _Inputs, position: int) -> Tensor | None:
    return tensors[position] if position < len(tensors) else None


def _output(node: RanNode) -> Tensor | None:
    return _at(node.outputs, 0)


def _number(node: RanNode, name: str) -> int | None:
    value = node.attributes.get(name)
    return value if isinstance(value, int) else None


def _convolution(weight: int) -> Callable[[RanNode], int | None]:
    """Weight [outputs, inputs / group, …kernel]: each output element takes one product for each of its row."""

    def count(node: RanNode) -> int | None:
        kernel, out = _at(node.inputs, weight), _output(node)
        return 2 * out.count * math.prod(kernel.shape[1:]) if kernel and out and len(kernel.shape) > 2 else None

    return count


def _transposed_convolution(weight: int) -> Callable[[RanNode], int | None]:
    """Weight [inputs, outputs / group, …kernel]: each input element goes into one product for each of its row."""

    def count(node: RanNode) -> int | None:
        kernel, image = _at(node.inputs, weight), _at(node.inputs, 0)
        return 2 * image.count * math.prod(kernel.shape[1:]) if kernel and image and len(kernel.shape) > 2 else None

    return count


def _grouped_convolution(node: RanNode) -> int | None:
    """Weight [group, outputs / group, inputs / group, …kernel], as OpenVINO has it; [outputs, …] where it is dense."""
    kernel, image, out = _at(node.inputs, 1), _at(node.inputs, 0), _output(node)
    if not kernel or not image or not out or len(kernel.shape) < 3:
        return None
    grouped = len(kernel.shape) == len(image.shape) + 1
    return 2 * out.count * math.prod(kernel.shape[2 if grouped else 1 :])


def _matrix_product(node: RanNode) -> int | None:
    """Of ``A`` [… m, k], or transposed as the node's attributes say."""
    left, out = _at(node.inputs, 0), _output(node)
    if not left or not out or not left.shape:
        return None
    if node.attributes.get("transA") and len(left.shape) > 1:
        inner = left.shape[0 if node.attributes.get("transBatchA") else -2]
    elif len(left.shape) > 1 and left.shape[-2:-1] != out.shape[-2:-1] and not node.attributes.get("transBatchA"):
        return None  # transposed in a way that the runtime does not tell
    else:
        inner = left.shape[-1]
    return 2 * out.count * inner


def _product_by_columns(node: RanNode) -> int | None:
    """Weights of few bits in blocks: the depth is an attribute."""
    depth, out = _number(node, "K"), _output(node)
    return 2 * out.count * depth if depth and out else None


def _recurrent(node: RanNode) -> int | None:
    """X [sequence, batch, inputs]; W and R hold the gates of all directions: each step multiplies by all of both."""
    x, w, r = (_at(node.inputs, position) for position in range(3))
    if not x or not w or not r or len(x.shape) != 3:
        return None
    return 2 * x.shape[0] * x.shape[1] * (w.count + r.count)


def _attention(node: RanNode) -> int | None:
    """Q, K and V [batch, (heads,) length, width]: scores, and their product with the values. No past is known."""
    q, k, out = _at(node.inputs, 0), _at(node.inputs, 1), _output(node)
    if not q or not k or not out or len(k.shape) < 3 or len(q.shape) not in (3, 4):
        return None
    return 2 * k.shape[-2] * (q.count + out.count)


def _attention_with_projection(node: RanNode) -> int | None:
    """X [batch, length, width] by W [width, 3 × hidden] and then attention, without a past."""
    x, w, out = _at(node.inputs, 0), _at(node.inputs, 1), _output(node)
    if not x or not w or not out or len(x.shape) != 3 or len(w.shape) != 2 or len(node.outputs) > 1:
        return None
    return 2 * x.count * w.shape[1] + 4 * x.shape[1] * out.count


def _inputs_once(node: RanNode) -> int | None:
    """One addition for each element that is read."""
    source = _at(node.inputs, 0)
    return source.count if source else None


def _pool(node: RanNode) -> int | None:
    kernel, out = node.attributes.get("kernel_shape"), _output(node)
    if not out or not isinstance(kernel, list | tuple):
        return None
    return out.count * math.prod(cast(Sequence[int], kernel))


_ACCUMULATES_INT8 = 4
"""Of MatMulNBits' ``accuracy_level``: inputs are quantized to 8 bits on the way."""
_PRODUCTS: Mapping[str, _Product] = {
    "Conv": _Product(_convolution(1)),
    "FusedConv": _Product(_convolution(1)),
    "NhwcFusedConv": _Product(_convolution(1)),
    "nchwc.Conv": _Product(_convolution(1)),
    "ConvInteger": _Product(_convolution(1), integer=True),
    "QLinearConv": _Product(_convolution(3), integer=True),
    "ConvTranspose": _Product(_transposed_convolution(1)),
    "QLinearConvTranspose": _Product(_transposed_convolution(3), integer=True),
    "MatMul": _Product(_matrix_product),
    "FusedMatMul": _Product(_matrix_product),
    "TransposeMatMul": _Product(_matrix_product),
    "FusedMatMulActivation": _Product(_matrix_product),
    "Gemm": _Product(_matrix_product),
    "FusedGemm": _Product(_matrix_product),
    "MatMulInteger": _Product(_matrix_product, integer=True),
    "MatMulIntegerToFloat": _Product(_matrix_product, integer=True),
    "DynamicQuantizeMatMul": _Product(_matrix_product, integer=True),
    "QLinearMatMul": _Product(_matrix_product, integer=True),
    "QGemm": _Product(_matrix_product, integer=True),
    "MatMulNBits": _Product(_product_by_columns),
    "GRU": _Product(_recurrent),
    "LSTM": _Product(_recurrent),
    "RNN": _Product(_recurrent),
    "DynamicQuantizeLSTM": _Product(_recurrent, integer=True),
    "MultiHeadAttention": _Product(_attention),
    "Attention": _Product(_attention_with_projection),
    "QAttention": _Product(_attention_with_projection, integer=True),
    "ScaledDotProductAttention": _Product(_attention),
    "Convolution": _Product(_grouped_convolution),
    "FullyConnected": _Product(_matrix_product),
    "FullyConnectedQuantizedLegacy": _Product(_matrix_product),
    "FullyConnectedCompressed": _Product(_matrix_product),
}
"""Operators of ONNX, of ONNX Runtime's own domains, and OpenVINO's nodes."""
_ELEMENTWISE = {
    "Add": 1, "Sub": 1, "Mul": 1, "Div": 1, "QLinearAdd": 1, "QLinearMul": 1, "BatchNormalization": 2,
    "QuantizeLinear": 2, "DequantizeLinear": 2, "nchwc.Add": 1, "nchwc.Mul": 1, "PRelu": 1, "LeakyRelu": 1,
}  # fmt: skip
"""Operations for each element of the output."""
_REDUCTIONS: Mapping[str, Callable[[RanNode], int | None]] = {
    "ReduceSum": _inputs_once, "ReduceMean": _inputs_once, "GlobalAveragePool": _inputs_once,
    "QLinearGlobalAveragePool": _inputs_once, "nchwc.GlobalAveragePool": _inputs_once,
    "AveragePool": _pool, "QLinearAveragePool": _pool, "nchwc.AveragePool": _pool,
}  # fmt: skip
_VIEWS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
"""They give another shape to what lies in memory as it is."""
_READ_SHAPE_ONLY = frozenset({"Shape", "Size", "ConstantOfShape", "Range"})
_READ_WHAT_THEY_WRITE = frozenset({"Slice", "Gather", "GatherElements", "GatherND", "Expand", "Tile", "StridedSlice"})
"""They read some of their input; it may be a table of which a few rows are looked up."""
_MOVES = _VIEWS | _READ_SHAPE_ONLY | _READ_WHAT_THEY_WRITE | {
    "ReorderInput", "ReorderOutput", "Reorder", "Transpose", "Concat", "Concatenation", "QLinearConcat", "Split", "Pad",
    "Cast", "Convert", "Where", "QLinearWhere", "DepthToSpace", "SpaceToDepth", "Equal", "Greater", "GreaterOrEqual",
    "Less", "LessOrEqual", "And", "Or", "Xor", "Not", "IsNaN", "IsInf", "Sign", "Relu", "Clip", "Max", "Min", "MaxPool",
    "nchwc.MaxPool", "GlobalMaxPool", "nchwc.GlobalMaxPool", "ReduceMax", "ReduceMin", "ArgMax", "ArgMin", "Trilu",
    "ScatterND", "ScatterElements", "Loop", "If", "Scan",
}  # fmt: skip
"""They multiply and add nothing."""
