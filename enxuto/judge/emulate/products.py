"""Which nodes add up U8 × S8 products in a way that can saturate, and what their weights look like as a matrix.

Found out by reading ONNX Runtime's source (MLAS: ``QgemmU8X8KernelAvx2.asm``, ``QgemmU8S8KernelAvx2.asm``,
``ConvSymKernelAvx2.asm``, ``qdwconv_avx2.cpp``, ``qlinearconv.cc``, as of 1.2x) and by running version 1.31 on an
emulated processor without VNNI (``bench/portability.py``):

- VPMADDUBSW multiplies unsigned by signed bytes and adds products 2i and 2i + 1 of a sum in 16 bits with saturation.
- Sums run over a convolution's kernel positions, channels last; padding counts as the zero point.
- U8 × U8, S8 × S8 and S8 × U8 products are added in 32 bits, and so are those of depthwise convolutions, of ConvInteger
  (which multiplies its weights by the activations, in this order) and of MatMulNBits at any accuracy level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto

from enxuto.judge.emulate.fused import FusedGraph

LARGEST, SMALLEST = 32767, -32768
ACTIVATION = 255


@dataclass(frozen=True)
class _Kind:
    left: int | None
    """Position of the activations; None where the node quantizes them by itself, to uint8."""
    zero: int | None
    """Position of their zero point, which is of their type where it is given."""
    right: tuple[int, ...]
    emulated: bool = True


_KINDS = {
    "QLinearConv": _Kind(0, 2, (3,)),
    "QLinearMatMul": _Kind(0, 2, (3,)),
    "QGemm": _Kind(0, 2, (3,)),
    "MatMulInteger": _Kind(0, 2, (1,)),
    "MatMulIntegerToFloat": _Kind(0, 4, (1,)),
    "QAttention": _Kind(0, 6, (1,), emulated=False),
    "DynamicQuantizeLSTM": _Kind(None, None, (1, 2), emulated=False),
}


@dataclass(frozen=True)
class Product:
    """A node that adds up U8 × S8 products."""

    node: NodeProto
    matrices: list[np.ndarray] | None
    """Its weights, int8 [groups, summed, outputs]; None where they are computed as the model runs."""
    emulated: bool

    @property
    def name(self) -> str:
        return self.node.name or self.node.output[0]

    def saturates(self) -> bool:
        """Whether some activations make some pair of products saturate."""
        return self.matrices is None or any(can_saturate(matrix) for matrix in self.matrices)


def products(graph: FusedGraph, *, signed_activations: bool = False) -> Iterator[Product]:
    """Of the main graph; ``signed_activations`` takes S8 × S8 products in as well.

    On x86 ONNX Runtime turns int8 activations between QuantizeLinear and DequantizeLinear into uint8 when it fuses
    them; on ARM it leaves them as they are, so that the graph does not show what x86 would run.
    """
    left_types = frozenset({0, int(TensorProto.UINT8)} | ({int(TensorProto.INT8)} if signed_activations else set()))
    for node in graph.nodes:
        kind = _KINDS.get(node.op_type)
        if kind is not None and _is_u8s8(graph, node, kind, left_types) and not _is_depthwise(graph, node):
            weights = [graph.weight(node.input[position]) for position in kind.right]
            known = [weight for weight in weights if weight is not None]
            matrices = [as_matrix(node, weight) for weight in known] if len(known) == len(weights) else None
            yield Product(node, matrices, kind.emulated)


def hidden(graph: FusedGraph) -> list[str]:
    """Operators inside control flow that may add up such products: these are not looked into."""
    return sorted({inner.op_type for node in graph.nodes for inner in _inner(node) if inner.op_type in _KINDS})


def as_matrix(node: NodeProto, weight: np.ndarray) -> np.ndarray:
    """[groups, summed, outputs], in the order of summation."""
    if node.op_type == "QLinearConv":
        return convolution_matrix(weight, attribute(node, "group", 1))
    if node.op_type == "QGemm" and attribute(node, "transB", 0):
        weight = weight.T
    return weight.reshape(-1, *weight.shape[-2:])


def convolution_matrix(weight: np.ndarray, groups: int) -> np.ndarray:
    """[outputs, channels, kernel…] → [groups, kernel · channels, outputs], channels last."""
    outputs, channels = weight.shape[:2]
    by_position = weight.reshape(groups, outputs // groups, channels, -1).transpose(0, 3, 2, 1)
    return np.ascontiguousarray(by_position.reshape(groups, -1, outputs // groups))


def can_saturate(matrix: np.ndarray) -> bool:
    """Whether any two neighbours could add up beyond 16 bits, positive and negative weights apart.

    Weights within ± 64 cannot: 2 · 64 · 255 is 32,640.
    """
    wide = matrix.astype(np.int32)
    for signed in (np.maximum(wide, 0), np.minimum(wide, 0)):
        reach = ACTIVATION * pairs(signed).sum(axis=-2)
        if reach.size and (reach.max() > LARGEST or reach.min() < SMALLEST):
            return True
    return False


def pairs(matrix: np.ndarray) -> np.ndarray:
    """[…, summed, outputs] → […, pairs, 2, outputs]; an odd one out is paired with 0."""
    *others, summed, outputs = matrix.shape
    if summed % 2:
        matrix = np.concatenate([matrix, np.zeros((*others, 1, outputs), matrix.dtype)], axis=-2)
    return matrix.reshape(*others, -1, 2, outputs)


def attribute(node: NodeProto, name: str, default: int) -> int:
    return next((int(one.i) for one in node.attribute if one.name == name), default)


def attribute_list(node: NodeProto, name: str, default: Sequence[int]) -> list[int]:
    return next((list(one.ints) for one in node.attribute if one.name == name and one.ints), list(default))


def _is_u8s8(graph: FusedGraph, node: NodeProto, kind: _Kind, left_types: frozenset[int]) -> bool:
    right = {graph.element_type(node.input[position]) for position in kind.right}
    return _left_type(graph, node, kind) in left_types and bool(right & {TensorProto.INT8, 0})


def _left_type(graph: FusedGraph, node: NodeProto, kind: _Kind) -> int:
    """0, which is taken for uint8, where it cannot be told."""
    if kind.left is None:
        return TensorProto.UINT8
    zero = node.input[kind.zero] if kind.zero is not None and len(node.input) > kind.zero else ""
    return (graph.element_type(zero) if zero else 0) or graph.element_type(node.input[kind.left])


def _is_depthwise(graph: FusedGraph, node: NodeProto) -> bool:
    groups = attribute(node, "group", 1)
    weight = graph.weights.get(node.input[3]) if node.op_type == "QLinearConv" and groups > 1 else None
    return weight is not None and weight.dims[1] == 1 and weight.dims[0] == groups


def _inner(node: NodeProto) -> Iterator[NodeProto]:
    for one in node.attribute:
        for graph in (one.g, *one.graphs):
            for inner in graph.node:
                yield inner
                yield from _inner(inner)
