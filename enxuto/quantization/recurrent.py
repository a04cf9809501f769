"""LSTM layers in dynamic INT8: weights of both products in 8 bits, inputs and hidden states quantized as they come.

Written as onnxruntime's DynamicQuantizeLSTM. There is no such operator for GRU and plain recurrent layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from enxuto.graph.assembled import assembled_array
from enxuto.graph.edit import Editor
from enxuto.graph.weights import in_default_domain, input_of
from enxuto.quantization.affine import quantize_weight, takes_integers, weight_scales

DOMAIN = "com.microsoft"
_MOST_INPUTS = 8
"""Of an LSTM; scales and zero points come behind."""


@dataclass(frozen=True)
class Lstm:
    node: ir.Node
    weights: tuple[np.ndarray, np.ndarray]
    """For inputs and for hidden states, float32 [directions, 4 · hidden, inputs]."""

    @property
    def elements(self) -> int:
        return sum(weight.size for weight in self.weights)


def lstms(graph: ir.Graph) -> list[Lstm]:
    """Of the graph itself, with float32 weights of their own, whatever stands between them and the layer."""
    found = []
    for node in graph:
        if node.op_type != "LSTM" or not in_default_domain(node) or _batch_first(node):
            continue
        weights = [assembled_array(input_of(node, position)) for position in (1, 2)]
        usable = [one for one in weights if one is not None and one.dtype == np.float32 and takes_integers(one)]
        if len(usable) == 2:
            found.append(Lstm(node, (usable[0], usable[1])))
    return found


def _batch_first(node: ir.Node) -> bool:
    layout = node.attributes.get("layout")
    return layout is not None and layout.as_int() != 0


def quantize_lstm(model: ir.Model, layer: Lstm, *, per_channel: bool, weight_limit: int) -> None:
    """Edit a normalized model in place."""
    editor, node = Editor(model.graph), layer.node
    model.opset_imports[DOMAIN] = 1
    stored = [
        _stored(editor, f"{node.outputs[0].name or node.name}_{role}", weight, per_channel, weight_limit)
        for role, weight in zip(("input", "hidden"), layer.weights, strict=True)
    ]
    inputs = [*node.inputs, *[None] * (_MOST_INPUTS - len(node.inputs))]
    for position, (integers, scales, zeros) in enumerate(stored):
        inputs[position + 1] = integers
        inputs += [scales, zeros]
    attributes = [one for name, one in node.attributes.items() if name != "layout"]
    new = ir.Node(DOMAIN, "DynamicQuantizeLSTM", inputs, attributes, num_outputs=len(node.outputs), name=node.name)
    editor.graph.insert_before(node, new)
    for before, after in zip(node.outputs, new.outputs, strict=True):
        after.type, after.shape = before.type, before.shape
        before.replace_all_uses_with(after, replace_graph_outputs=True)
        name, before.name = before.name, None
        after.name = name
    editor.graph.remove(node, safe=True)


def _stored(
    editor: Editor, name: str, weight: np.ndarray, per_channel: bool, limit: int
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """int8 [directions, inputs, 4 · hidden], with a scale for each column or for each direction, and zero points."""
    turned = weight.transpose(0, 2, 1)
    axis = 1 if per_channel else None
    scales = np.stack([weight_scales(one, axis, limit) for one in turned])
    pairs = zip(turned, scales, strict=True)
    integers = np.stack([quantize_weight(one, each, axis, limit) for one, each in pairs])
    return (
        editor.weight(f"{name}_int8", integers),
        editor.weight(f"{name}_scale", scales),
        editor.weight(f"{name}_zero", np.zeros(scales.shape, dtype=np.int8)),
    )
