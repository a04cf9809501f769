"""Which operators onnxruntime runs in integers, and what each does to the range of its values."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from enxuto.graph.weights import array_of, in_default_domain, input_of, is_constant

CLIPPING = frozenset({"Relu", "Clip"})
"""Run by the quantization that follows them."""
_OWN_RANGE = frozenset({"AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid", "Concat", "Add", "Mul"})
"""Run in integers when all inputs and the output are quantized, each with a range of its own."""
_WITH_CONSTANTS = frozenset({"Concat", "Add", "Mul"})
"""Any of whose inputs may be values, or constants."""
_SAME_RANGE = frozenset(
    {
        "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Resize", "Slice",
        "SpaceToDepth", "Squeeze", "Transpose", "Unsqueeze",
    }
)  # fmt: skip


def follows(node: ir.Node) -> bool:
    """Whether a node can run in integers between two others that do."""
    own = in_default_domain(node) and node.op_type in _OWN_RANGE | CLIPPING
    return (own or keeps_range(node)) and bool(data_inputs(node)) and _constants_have_a_range(node)


def keeps_range(node: ir.Node) -> bool:
    """Whether the output's values are some of the input's, or lie between them and zero."""
    if not in_default_domain(node):
        return False
    if node.op_type == "Pad":
        return _pads_with_zero(node)
    if node.op_type == "Resize":
        mode = node.attributes.get("mode")
        return mode is None or mode.as_string() in ("nearest", "linear")
    return node.op_type in _SAME_RANGE and len(node.outputs) == 1


def data_inputs(node: ir.Node) -> list[ir.Value]:
    """The inputs that carry values, without shapes, indices and constants."""
    inputs = node.inputs if node.op_type in _WITH_CONSTANTS else node.inputs[:1]
    return [value for value in inputs if value is not None and not is_constant(value)]


def _constants_have_a_range(node: ir.Node) -> bool:
    """Whether no constant among the values is empty, or infinite as masks are."""
    if node.op_type not in _WITH_CONSTANTS:
        return True
    arrays = [array_of(value) for value in node.inputs if value is not None and is_constant(value)]
    return all(array.size and np.isfinite(array).all() for array in arrays)


def _pads_with_zero(node: ir.Node) -> bool:
    mode = node.attributes.get("mode")
    if mode is not None and mode.as_string() != "constant":
        return True
    if "value" in node.attributes:
        return node.attributes["value"].as_float() == 0
    fill = input_of(node, 2)
    return fill is None or (is_constant(fill) and not np.any(array_of(fill)))
