"""Weights of transposed convolutions, which ONNX Runtime has no integer kernel for: stored in int8, computed in floats.

They are restored when the model is loaded, once: cast and multiplied, which every runtime folds. OpenVINO computes
transposed convolutions in integers: for it they are quantized as all others (``operators_of``).
"""

from __future__ import annotations

import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.products import groups_of_node
from enxuto.graph.weights import array_of, in_default_domain, input_of, is_constant
from enxuto.quantization.affine import WEIGHT_LIMIT, quantize_weight, spread, takes_integers, weight_scales

_SMALLEST_ELEMENTS = 512
"""Two nodes and their names take some 200 bytes."""


def store_transposed(graph: ir.Graph, exclude: frozenset[str]) -> int:
    """Edit a normalized graph in place; returns how many weights are stored in int8 now."""
    editor = Editor(graph)
    weights = _weights(graph, exclude)
    for weight, axis in weights:
        _store(editor, weight, axis)
    return len(weights)


def transposed_elements(graph: ir.Graph, exclude: frozenset[str] = frozenset()) -> int:
    """How many weights could be stored in int8."""
    return sum(array_of(weight).size for weight, _ in _weights(graph, exclude))


def _weights(graph: ir.Graph, exclude: frozenset[str]) -> list[tuple[ir.Value, int]]:
    found = [_weight(node) for node in graph if not exclude & {str(node.name), node.op_type}]
    return [each for each in found if each is not None]


def _weight(node: ir.Node) -> tuple[ir.Value, int] | None:
    """With the axis that scales are counted on: output channels, or input channels where there are groups."""
    if node.op_type != "ConvTranspose" or not in_default_domain(node):
        return None
    weight = input_of(node, 1)
    if weight is None or not is_constant(weight) or weight.dtype != ir.DataType.FLOAT or weight.is_graph_output():
        return None
    array = array_of(weight)
    if array.size < _SMALLEST_ELEMENTS or not takes_integers(array) or len(weight.consumers()) > 1:
        return None
    return weight, 1 if groups_of_node(node) == 1 else 0


def _store(editor: Editor, weight: ir.Value, axis: int) -> None:
    array, name = array_of(weight), str(weight.name)
    scales = weight_scales(array, axis, WEIGHT_LIMIT)
    integers = editor.weight(f"{name}_int8", quantize_weight(array, scales, axis, WEIGHT_LIMIT))
    factors = editor.weight(f"{name}_scale", spread(scales, array.ndim, axis))
    cast = editor.node("Cast", [integers], f"{name}_cast", attributes={"to": int(ir.DataType.FLOAT)})
    real = editor.node("Mul", [cast.outputs[0], factors], f"{name}_real")
    (use,) = weight.uses()
    editor.graph.insert_before(use.node, [cast, real])
    use.node.replace_input_with(use.idx, real.outputs[0])
    editor.drop_if_unused(weight)
