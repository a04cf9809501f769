"""Convolutions and matrix products whose weight is theirs alone, and how data's channels meet it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from enxuto.graph.weights import array_of, in_default_domain, is_constant

_TYPES = (ir.DataType.FLOAT, ir.DataType.DOUBLE)


@dataclass(frozen=True)
class Product:
    """Of data and a weight that nothing else reads."""

    node: ir.Node
    weight: ir.Value

    @property
    def array(self) -> np.ndarray:
        return array_of(self.weight)

    @property
    def convolves(self) -> bool:
        return self.node.op_type == "Conv"

    @property
    def groups(self) -> int:
        return groups_of_node(self.node)

    @property
    def outputs_first(self) -> bool:
        """Whether the weight's first axis counts what comes out, and its second what goes in."""
        return self.convolves or bool(number_of(self.node, "transB", 0))

    @property
    def channels(self) -> int:
        """Of the data."""
        return int(self.array.shape[1 if self.outputs_first else 0]) * self.groups

    def spread(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers [channels] as factors of the weight's elements that meet them."""
        if not self.outputs_first:
            return numbers[:, None]
        each = np.repeat(numbers.reshape(self.groups, -1), len(self.array) // self.groups, axis=0)
        return each.reshape(*each.shape, *(1,) * (self.array.ndim - 2))


def own_product(node: ir.Node) -> Product | None:
    """What the node multiplies by, if that is constant and nothing else reads it; plain, in float32 or float64."""
    if node.op_type not in ("Conv", "Gemm", "MatMul") or not in_default_domain(node):
        return None
    weight = node.inputs[1]
    if weight is None or not is_constant(weight) or weight.is_graph_output() or len(weight.uses()) != 1:
        return None
    plain = not number_of(node, "transA", 0) and number_of(node, "alpha", 1) == number_of(node, "beta", 1) == 1
    fits = weight.dtype in _TYPES and (node.op_type == "Conv" or array_of(weight).ndim == 2)
    return Product(node, weight) if plain and fits else None


def groups_of_node(node: ir.Node) -> int:
    """Of a convolution, transposed or not; 1 for anything else."""
    return int(number_of(node, "group", 1))


def number_of(node: ir.Node, name: str, usual: float) -> float:
    """An attribute, or what it is where it is left out."""
    given = node.attributes.get(name)
    return usual if given is None else float(given.value)
