"""How far one kernel of a runtime goes behind a convolution: what it computes before it writes anything.

ONNX Runtime's integer convolutions write integers at once; clipping them is the only thing that comes for nothing.
OpenVINO's hold their sums in 32 bits and go on with them: an activation, the sum of a residual network, and an
activation again, all in floats, before they round to whatever the next one reads. Rounding in between costs accuracy
and takes its fusions apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from enxuto.graph.weights import in_default_domain, is_constant
from enxuto.quantization.operators import CLIPPING

Layout = Literal["onnxruntime", "openvino"]
"""Whose kernels integers are laid out for."""

_ACTIVATIONS = frozenset({"Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "Sigmoid", "Tanh"}) | CLIPPING
_GATES = frozenset({"HardSigmoid", "Sigmoid"})
"""Multiplied by what they read, they are an activation in two nodes: Swish (SiLU), HardSwish."""


@dataclass(frozen=True)
class KernelEnd:
    """What a convolution's kernel comes to."""

    output: ir.Value
    inner: tuple[ir.Node, ...] = ()
    """Nodes behind the convolution that the kernel computes as well."""
    added: ir.Value | None = None
    """The other side of the sum among them."""


def kernel_ends(
    convolutions: Iterable[ir.Node], layout: Layout, kept: AbstractSet[ir.Node] = frozenset()
) -> dict[ir.Node, KernelEnd]:
    """By convolution, which come in the graph's order. A sum belongs to the last one that leads to it."""
    nodes = list(convolutions)
    if layout == "onnxruntime":
        return {node: KernelEnd(end_of(node)) for node in nodes}
    ends: dict[ir.Node, KernelEnd] = {}
    for node in reversed(nodes):
        taken = {inner for end in ends.values() for inner in end.inner}
        ends[node] = _fused(node, taken | kept)
    return ends


def end_of(node: ir.Node) -> ir.Value:
    """Behind a clipping node that alone reads the output: both become one integer kernel under either runtime."""
    output = node.outputs[0]
    reader = _only_reader(output)
    if reader is None or node.op_type in CLIPPING or reader.op_type not in CLIPPING or reader.graph is not node.graph:
        return output
    return reader.outputs[0] if reader.inputs[0] is output else output


def _fused(node: ir.Node, taken: AbstractSet[ir.Node]) -> KernelEnd:
    inner = _activation(node.outputs[0])
    output = inner[-1].outputs[0] if inner else node.outputs[0]
    addition = _only_reader(output)
    if addition is None or not _adds_two(addition) or addition in taken or addition.graph is not node.graph:
        return KernelEnd(output, tuple(inner))
    left, right = addition.inputs
    behind = _activation(addition.outputs[0])
    end = (behind or [addition])[-1].outputs[0]
    return KernelEnd(end, (*inner, addition, *behind), right if left is output else left)


def _activation(value: ir.Value) -> list[ir.Node]:
    """The nodes of the activation that alone reads a tensor; none where anything else does."""
    alone = _only_reader(value)
    if alone is not None:
        return [alone] if alone.op_type in _ACTIVATIONS and alone.inputs[0] is value else []
    if value.is_graph_output() or len(value.uses()) != 2:
        return []
    gates = [use.node for use in value.uses() if use.node.op_type in _GATES and in_default_domain(use.node)]
    products = [use.node for use in value.uses() if use.node.op_type == "Mul"]
    if len(gates) != 1 or len(products) != 1 or _only_reader(gates[0].outputs[0]) is not products[0]:
        return []
    return [gates[0], products[0]]


def _adds_two(node: ir.Node) -> bool:
    """Two tensors, neither of them a constant nor the same one twice."""
    if node.op_type != "Add" or not in_default_domain(node):
        return False
    left, right = node.inputs
    return left is not right and not is_constant(left) and not is_constant(right)


def _only_reader(value: ir.Value) -> ir.Node | None:
    uses = value.uses()
    if len(uses) != 1 or value.is_graph_output():
        return None
    (use,) = uses
    return use.node if in_default_domain(use.node) else None
