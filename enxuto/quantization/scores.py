"""Products of queries and keys, which OpenVINO computes in integers within its kernel for a whole attention.

The kernel takes everything from the product to the one with values behind the softmax; anything else in between, or
anybody else who reads what lies there, takes it apart, and integers then bring nothing. Values are left in floats: what
softmax writes loses too much in 8 bits (3 dB at the outputs of a GPT, for 5 % of the time).
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from enxuto.graph.weights import computed_array, in_default_domain

_BETWEEN = frozenset({"Add", "Div", "Mul", "Sub", "Where"})
"""Scales scores, or masks them."""
_MOST_BETWEEN = 4


def score_products(graph: ir.Graph) -> Iterator[ir.Node]:
    """Of two tensors, neither of them a weight, whose outcome is weighed by a softmax and multiplied with values."""
    return (node for node in graph if _is_product(node) and _leads_to_values(node))


def _is_product(node: ir.Node | None) -> bool:
    if node is None or node.op_type != "MatMul" or not in_default_domain(node):
        return False
    return all(value is not None and _may_be_float32(value) and computed_array(value) is None for value in node.inputs)


def _may_be_float32(value: ir.Value) -> bool:
    return value.dtype in (ir.DataType.FLOAT, None)


def _leads_to_values(product: ir.Node) -> bool:
    reader = _only_reader(product)
    for _ in range(_MOST_BETWEEN):
        if reader is None or reader.op_type not in _BETWEEN:
            break
        reader = _only_reader(reader)
    if reader is None or reader.op_type != "Softmax":
        return False
    values = _only_reader(reader)
    return _is_product(values) and values is not None and values.inputs[0] is reader.outputs[0]


def _only_reader(node: ir.Node) -> ir.Node | None:
    (output, *others), uses = node.outputs, node.outputs[0].uses()
    if others or output.is_graph_output() or len(uses) != 1:
        return None
    (use,) = uses
    return use.node if in_default_domain(use.node) and use.node.graph is node.graph else None
