"""Means over all of an image's pixels, as the global average pools that they are, and back.

Exporters write either. ONNX Runtime keeps a pool in the layout of the float convolutions around it, and has an integer
kernel for it. Between integer convolutions, which have their channels last, a float pool wants them first again: two
transpositions that a mean does without.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import numpy as np
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.weights import array_of, in_default_domain, input_of, is_constant

_MOVES_CHANNELS = frozenset({"Transpose"})
_AXES_AS_INPUT = 18
"""The opset from which they are no attribute."""
_FAR_BACK = 8
"""Nodes between a convolution and a pool: activations and a sum."""
_KEEP_AXES = frozenset(
    {
        "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "DequantizeLinear", "Div", "Elu", "Erf",
        "FastGelu", "Gelu", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "MaxPool", "Mish", "Mul", "PRelu",
        "QuantizeLinear", "Relu", "Sigmoid", "Softplus", "Sub", "Sum", "Tanh",
    }
)  # fmt: skip
"""Of nodes between the two, those whose output has as many axes as what they read first."""


def means_as_pools(model: ir.Model) -> int:
    """Edit a normalized model whose shapes are known, in place; returns how many were replaced."""
    editor = Editor(model.graph)
    found = [node for node in model.graph if _is_global_mean(node)]
    for node in found:
        name, data = str(node.outputs[0].name), node.inputs[0]
        keeps = "keepdims" not in node.attributes or node.attributes["keepdims"].as_int() == 1
        new = [editor.node("GlobalAveragePool", [data], name if keeps else f"{name}_pooled")]
        if not keeps:
            new.append(editor.node("Flatten", [new[0].outputs[0]], name))
        old_name = node.name
        editor.replace(node, new)
        new[0].name = old_name
    return len(found)


def pools_as_means(graph: ir.Graph, opset: int, but_for: AbstractSet[ir.Node]) -> None:
    """Edit a graph in place: global average pools of images, but for those given, become means."""
    editor = Editor(graph)
    for node in [one for one in graph if one.op_type == "GlobalAveragePool" and one not in but_for]:
        data = node.inputs[0]
        if not in_default_domain(node) or data is None or not _is_image(data):
            continue
        name, old_name = str(node.outputs[0].name), node.name
        axes = [editor.weight(f"{name}_axes", np.array([2, 3], dtype=np.int64))] if opset >= _AXES_AS_INPUT else []
        attributes: dict[str, int | float | str | list[int]] = {} if axes else {"axes": [2, 3]}
        mean = editor.node("ReduceMean", [data, *axes], name, attributes=attributes)  # keepdims is 1 by default
        editor.replace(node, [mean])
        mean.name = old_name


def _is_image(value: ir.Value) -> bool:
    """Told by the convolution that it comes from; a volume is left as it is."""
    for _ in range(_FAR_BACK):
        node = value.producer()
        if node is None:
            return False
        if node.op_type == "Conv":
            return _rank_of_weight(node) == 4
        if node.op_type not in _KEEP_AXES or node.inputs[0] is None:
            return False
        value = node.inputs[0]
    return False


def _rank_of_weight(node: ir.Node) -> int | None:
    """Stored as it is, or quantized."""
    weight = input_of(node, 1)
    restored = weight.producer() if weight is not None else None
    stored = restored.inputs[0] if restored is not None and restored.op_type == "DequantizeLinear" else weight
    return array_of(stored).ndim if stored is not None and is_constant(stored) else None


def _is_global_mean(node: ir.Node) -> bool:
    """Over all axes behind the second, of a float image that a convolution may have made."""
    data = node.inputs[0] if node.inputs else None
    if node.op_type != "ReduceMean" or not in_default_domain(node) or data is None or data.shape is None:
        return False
    rank, producer = len(data.shape), data.producer()
    if rank < 4 or data.dtype != ir.DataType.FLOAT or producer is None or producer.op_type in _MOVES_CHANNELS:
        return False
    axes = _axes(node)
    return axes is not None and sorted(axis % rank for axis in axes) == list(range(2, rank))


def _axes(node: ir.Node) -> list[int] | None:
    if "axes" in node.attributes:
        return [int(axis) for axis in node.attributes["axes"].as_ints()]
    given = input_of(node, 1)
    return [int(axis) for axis in array_of(given).ravel()] if given is not None and is_constant(given) else None
