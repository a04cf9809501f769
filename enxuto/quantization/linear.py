"""Convolutions and matrix products with constant weights: what every INT8 method quantizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from enxuto.graph.products import groups_of_node, number_of
from enxuto.graph.weights import computed_array, in_default_domain, input_of
from enxuto.quantization.affine import takes_integers


@dataclass(frozen=True)
class Linear:
    """A node whose output is linear in one input, with the rest constant."""

    node: ir.Node
    weight: np.ndarray
    """float32, as the node reads it, scaled by Gemm's alpha."""
    bias: np.ndarray | None
    """float32, one an output channel, scaled by Gemm's beta."""
    channel_axis: int
    """Of the weight: where output channels are counted."""

    @property
    def channels(self) -> int:
        return int(self.weight.shape[self.channel_axis])


def linears(graph: ir.Graph, operators: frozenset[str]) -> Iterator[Linear]:
    """Of the graph itself: subgraphs are left alone."""
    for node in graph:
        if in_default_domain(node) and node.op_type in operators and (found := _linear(node)):
            yield found


def _linear(node: ir.Node) -> Linear | None:
    weight = computed_array(input_of(node, 1))
    data = node.inputs[0]
    if weight is None or weight.dtype != np.float32 or not takes_integers(weight):
        return None
    if data is None or computed_array(data) is not None:
        return None
    match node.op_type:
        case "Conv":
            return _with_bias(node, weight, 0, 1.0)
        case "ConvTranspose":
            return _with_bias(node, weight, 1, 1.0) if groups_of_node(node) == 1 else None
        case "MatMul":
            return Linear(node, weight, None, 1) if weight.ndim == 2 else None
        case "Gemm":
            if number_of(node, "transA", 0):
                return None
            alpha = number_of(node, "alpha", 1.0)
            scaled = weight if alpha == 1 else weight * np.float32(alpha)  # a large one is read where it lies
            return _with_bias(node, scaled, 0 if number_of(node, "transB", 0) else 1, number_of(node, "beta", 1.0))
    return None


def _with_bias(node: ir.Node, weight: np.ndarray, axis: int, factor: float) -> Linear | None:
    given = input_of(node, 2)
    if given is None:
        return Linear(node, weight, None, axis)
    bias = computed_array(given)
    channels = weight.shape[axis]
    by_channel = bias is not None and bias.size == channels and bias.shape[-1:] == (channels,)  # (n, 1) is by row
    if bias is None or not (by_channel or bias.size == 1):
        return None
    if not np.isfinite(bias).all():
        return None
    spread = np.broadcast_to(bias.astype(np.float32).ravel() * np.float32(factor), (channels,))
    return Linear(node, weight, spread, axis)
