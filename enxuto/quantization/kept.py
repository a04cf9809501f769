"""Lets convolutions that are kept in floating point stay there, between tensors that are quantized.

onnxruntime quantizes the weights of a float convolution by itself, with one scale for all channels, where it reads a
restored tensor and writes one that is quantized (its WeightBiasQuantization, at every level of graph optimization that
fuses integers): less accurate than what it was kept from. It looks through Relu and Clip, not through LeakyRelu, which
it fuses into the convolution all the same.
"""

from __future__ import annotations

import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.weights import in_default_domain, input_of
from enxuto.quantization.operators import CLIPPING

_QUANTIZED_BY_ITSELF = frozenset({"Conv", "ConvTranspose", "Gemm"})


def guard_kept(graph: ir.Graph) -> int:
    """Edit a graph with quantization in it, in place; returns how many nodes would not have stayed in float32."""
    exposed = [node for node in graph if _is_exposed(node)]
    editor = Editor(graph)
    for node in exposed:
        _guard(editor, node)
    return len(exposed)


def _is_exposed(node: ir.Node) -> bool:
    if node.op_type not in _QUANTIZED_BY_ITSELF or not in_default_domain(node):
        return False
    return _made_by(node, 0) == "DequantizeLinear" and _made_by(node, 1) is None and _leads_to_integers(node.outputs[0])


def _made_by(node: ir.Node, position: int) -> str | None:
    value = input_of(node, position)
    producer = value.producer() if value is not None else None
    return producer.op_type if producer is not None else None


def _leads_to_integers(value: ir.Value) -> bool:
    readers = value.consumers()
    if len(readers) != 1 or value.is_graph_output():
        return False
    (reader,) = readers
    if reader.op_type in CLIPPING:
        return _leads_to_integers(reader.outputs[0])
    return reader.op_type == "QuantizeLinear"


def _guard(editor: Editor, node: ir.Node) -> None:
    """A rectifier that leaks everything changes nothing; one that leaks nothing is a Relu."""
    output = node.outputs[0]
    (reader,) = output.consumers()
    if reader.op_type == "Relu":
        rectifier = editor.node("LeakyRelu", [output], str(reader.outputs[0].name), attributes={"alpha": 0.0})
        editor.replace(reader, [rectifier])
        return
    rectifier = editor.node("LeakyRelu", [output], f"{output.name}_kept", attributes={"alpha": 1.0})
    output.replace_all_uses_with(rectifier.outputs[0])
    rectifier.replace_input_with(0, output)
    editor.graph.insert_after(node, rectifier)
