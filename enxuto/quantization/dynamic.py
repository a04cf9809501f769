"""Dynamic INT8: weights in 8 bits, activations quantized as they come.

The nodes written here are those that onnxruntime fuses: DynamicQuantizeLinear, MatMulInteger, a cast and a scale
become one MatMulIntegerToFloat (or DynamicQuantizeMatMul), with one quantization for all readers of a tensor.
Convolutions stay as they are: their dynamic kernels are several times slower than float32.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from enxuto.graph.edit import Editor
from enxuto.graph.weights import array_of, in_default_domain, is_constant
from enxuto.quantization.affine import quantize_weight, weight_scales
from enxuto.quantization.linear import Linear, linears

OPERATORS = frozenset({"Gemm", "MatMul"})
OPSET = 11
"""The first with DynamicQuantizeLinear."""
_SMALLEST_TABLE = 1024
"""Elements of an embedding table that is worth the nodes that restore its rows."""


def tables(graph: ir.Graph) -> list[ir.Node]:
    """Gathers of rows from a float32 table that nothing else reads as such."""
    return [node for node in graph if node.op_type == "Gather" and in_default_domain(node) and _reads_table(node)]


def quantize_dynamic(model: ir.Model, *, per_channel: bool, embeddings: bool, weight_limit: int) -> list[str]:
    """Edit a normalized model in place; returns notes."""
    rewriting = _Rewriting(model.graph, per_channel=per_channel, weight_limit=weight_limit)
    products = list(linears(model.graph, OPERATORS))
    for linear in products:
        rewriting.product(linear)
    gathers = tables(model.graph) if embeddings else []
    for node in gathers:
        rewriting.table(node)
    ir.passes.Sequential(passes.RemoveUnusedNodesPass(), passes.DeduplicateInitializersPass())(model)
    notes = [f"{len(products)} matrix products compute in integers; activations are quantized at run time."]
    if gathers:
        notes.append(f"{len(gathers)} embedding tables are stored in int8, with a scale for each row.")
    return notes


class _Rewriting:
    def __init__(self, graph: ir.Graph, *, per_channel: bool, weight_limit: int) -> None:
        self._graph = graph
        self._editor = Editor(graph)
        self._per_channel = per_channel
        self._limit = weight_limit
        self._quantized: dict[ir.Value, ir.Node] = {}

    def product(self, linear: Linear) -> None:
        node, data = linear.node, linear.node.inputs[0]
        if data is None:
            return
        weight = linear.weight.T if linear.channel_axis == 0 else linear.weight
        integers, scales, zeros = self._stored(node, weight)
        values, scale, zero = self._dynamic(data).outputs
        name = str(node.outputs[0].name)
        editor = self._editor
        summed = editor.node("MatMulInteger", [values, integers, zero, zeros], f"{name}_sums")
        cast = editor.node("Cast", [summed.outputs[0]], f"{name}_cast", attributes={"to": int(ir.DataType.FLOAT)})
        factor = editor.node("Mul", [scale, scales], f"{name}_factor")
        scaled = editor.node("Mul", [cast.outputs[0], factor.outputs[0]], f"{name}_scaled")
        new = [summed, cast, factor, scaled]
        if linear.bias is not None:
            bias = editor.weight(f"{name}_bias", linear.bias)
            new.append(editor.node("Add", [scaled.outputs[0], bias], f"{name}_biased"))
        self._editor.replace(node, new)

    def table(self, node: ir.Node) -> None:
        """Rows as int8, each with its scale: gather both, then multiply."""
        stored, rows = node.inputs
        if stored is None:
            return
        table = array_of(stored)
        scales = weight_scales(table, 0, 127)
        name = str(node.outputs[0].name)
        editor = self._editor
        integers = editor.weight(f"{stored.name}_int8", quantize_weight(table, scales, 0, 127))
        factors = editor.weight(f"{stored.name}_scale", scales.reshape(-1, *[1] * (table.ndim - 1)))
        picked = editor.node("Gather", [integers, rows], f"{name}_rows")
        cast = editor.node("Cast", [picked.outputs[0]], f"{name}_cast", attributes={"to": int(ir.DataType.FLOAT)})
        factor = editor.node("Gather", [factors, rows], f"{name}_factor")
        scaled = editor.node("Mul", [cast.outputs[0], factor.outputs[0]], f"{name}_scaled")
        self._editor.replace(node, [picked, cast, factor, scaled])

    def _stored(self, node: ir.Node, weight: np.ndarray) -> tuple[ir.Value, ir.Value, ir.Value]:
        axis = 1 if self._per_channel else None
        scales = weight_scales(weight, axis, self._limit)
        read = node.inputs[1]
        name = f"{read.name if read else node.name}"
        return (
            self._editor.weight(f"{name}_int8", quantize_weight(weight, scales, axis, self._limit)),
            self._editor.weight(f"{name}_scale", scales),
            self._editor.weight(f"{name}_zero", np.zeros(scales.shape, dtype=np.int8)),
        )

    def _dynamic(self, data: ir.Value) -> ir.Node:
        """One quantization for all readers of a tensor."""
        if data not in self._quantized:
            node = self._editor.node("DynamicQuantizeLinear", [data], f"{data.name}_uint8", outputs=3)
            producer = data.producer()
            if producer is None:
                self._graph.insert_before(self._graph[0], node)
            else:
                self._graph.insert_after(producer, node)
            self._quantized[data] = node
        return self._quantized[data]


def _reads_table(node: ir.Node) -> bool:
    table = node.inputs[0]
    axis = node.attributes.get("axis")
    return (
        table is not None
        and is_constant(table)
        and table.dtype == ir.DataType.FLOAT
        and array_of(table).ndim >= 2
        and array_of(table).size >= _SMALLEST_TABLE
        and bool(np.isfinite(array_of(table)).all())
        and (axis is None or axis.as_int() == 0)
        and all(use.node.op_type == "Gather" for use in table.uses())
    )
