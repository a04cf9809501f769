"""Joins a matrix product and the bias behind it into one Gemm, as onnxruntime does when it loads a model.

Quantization must see them as one: a Gemm whose bias is still in floating point has no integer kernel.
"""

from __future__ import annotations

import onnx_ir as ir

from enxuto.graph.weights import array_of, in_default_domain, is_constant

_OPSET = 7
"""The first where Gemm spreads its bias."""


def join_biases(model: ir.Model) -> None:
    """Edit a normalized model whose shapes are known, in place."""
    if model.opset_imports.get("", 0) < _OPSET:
        return
    for node in list(model.graph):
        joined = _bias_behind(node)
        if joined is not None:
            _join(model.graph, node, *joined)


def _bias_behind(node: ir.Node) -> tuple[ir.Node, ir.Value] | None:
    """The addition that alone reads a two-dimensional product with a constant weight, and what it adds."""
    if node.op_type != "MatMul" or not in_default_domain(node) or node.outputs[0].is_graph_output():
        return None
    data, weight = node.inputs
    readers = node.outputs[0].consumers()
    if data is None or data.shape is None or len(data.shape) != 2 or weight is None or not is_constant(weight):
        return None
    if len(readers) != 1 or readers[0].op_type != "Add" or readers[0].graph is not node.graph:
        return None
    bias = next((value for value in readers[0].inputs if value is not None and value is not node.outputs[0]), None)
    columns = array_of(weight).shape[-1]
    if bias is None or not is_constant(bias) or array_of(bias).shape not in ((columns,), (1, columns)):
        return None
    return (readers[0], bias) if array_of(weight).ndim == 2 and weight.dtype == bias.dtype else None


def _join(graph: ir.Graph, product: ir.Node, addition: ir.Node, bias: ir.Value) -> None:
    gemm = ir.node("Gemm", [*product.inputs, bias], name=addition.name)
    old, new = addition.outputs[0], gemm.outputs[0]
    new.type, new.shape = old.type, old.shape
    graph.insert_after(product, gemm)
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove([addition, product], safe=True)
    name, old.name = old.name, None
    new.name = name
