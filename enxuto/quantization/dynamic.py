"""Dynamic INT8: weights in 8 bits, activations quantized as they come.

The nodes written here are those that onnxruntime fuses: DynamicQuantizeLinear, MatMulInteger, a cast and a scale
become one MatMulIntegerToFloat (or DynamicQuantizeMatMul), with one quantization for all readers of a tensor.
LSTM layers are written as its own operator (``recurrent``).
Convolutions stay as they are: their dynamic kernels are several times slower than float32.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from enxuto.errors import NotApplicable
from enxuto.graph.edit import Editor
from enxuto.graph.weights import in_default_domain
from enxuto.quantization.affine import half_scales, quantize_weight, weight_scales
from enxuto.quantization.linear import Linear, linears
from enxuto.quantization.recurrent import lstms, quantize_lstm
from enxuto.quantization.tables import reads_table, store_tables

OPERATORS = frozenset({"Gemm", "MatMul"})
OPSET = 11
"""The first with DynamicQuantizeLinear."""


def quantize_dynamic(
    model: ir.Model, *, per_channel: bool, embeddings: bool, weight_limit: int, exclude: frozenset[str] = frozenset()
) -> list[str]:
    """Edit a normalized model in place; returns notes. Raises NotApplicable where everything is excluded."""
    rewriting = _Rewriting(model.graph, per_channel=per_channel, weight_limit=weight_limit)
    products = [each for each in linears(model.graph, OPERATORS) if not exclude & {each.node.name, each.node.op_type}]
    layers = [each for each in lstms(model.graph) if not exclude & {each.node.name, each.node.op_type}]
    if not products and not layers:
        raise NotApplicable(
            "No matrix product or LSTM layer is left to compute in integers.",
            code="nothing_to_quantize",
            hint="Exclude fewer nodes.",
        )
    for linear in products:
        rewriting.product(linear)
    for layer in layers:
        quantize_lstm(model, layer, per_channel=per_channel, weight_limit=weight_limit)
    stored = store_tables(model.graph, _lookups(model.graph, exclude)) if embeddings else 0
    ir.passes.Sequential(passes.RemoveUnusedNodesPass(), passes.DeduplicateInitializersPass())(model)
    _forget_shapes(model)
    counts = {"Matrix products": len(products), "LSTM layers": len(layers)}
    notes = [
        f"{what} that compute in integers, with activations quantized at run time: {count}."
        for what, count in counts.items()
        if count
    ]
    if stored:
        notes.append(f"Embedding tables stored in int8, with a scale for each row: {stored}.")
    return notes


def _lookups(graph: ir.Graph, exclude: frozenset[str]) -> list[ir.Node]:
    every = (node for node in graph if node.op_type == "Gather" and in_default_domain(node) and reads_table(node))
    return [node for node in every if not exclude & {node.name, node.op_type}]


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
        integers, scales, new = self._stored(node, weight)
        values, scale, zero = self._dynamic(data).outputs
        name = str(node.outputs[0].name)
        editor = self._editor
        summed = editor.node("MatMulInteger", [values, integers, zero], f"{name}_sums")
        cast = editor.node("Cast", [summed.outputs[0]], f"{name}_cast", attributes={"to": int(ir.DataType.FLOAT)})
        factor = editor.node("Mul", [scale, scales], f"{name}_factor")
        scaled = editor.node("Mul", [cast.outputs[0], factor.outputs[0]], f"{name}_scaled")
        new += [summed, cast, factor, scaled]
        if linear.bias is not None:
            bias = editor.weight(f"{name}_bias", linear.bias)
            new.append(editor.node("Add", [scaled.outputs[0], bias], f"{name}_biased"))
        self._editor.replace(node, new)

    def _stored(self, node: ir.Node, weight: np.ndarray) -> tuple[ir.Value, ir.Value, list[ir.Node]]:
        """The integers, their scales, and the node that widens scales that are stored in half precision.

        There is no zero point: none is zero.
        """
        axis = 1 if self._per_channel else None
        exact = weight_scales(weight, axis, self._limit)
        scales = half_scales(exact)
        read = node.inputs[1]
        name = f"{read.name if read else node.name}"
        integers = self._editor.weight(
            f"{name}_int8", quantize_weight(weight, scales.astype(np.float32), axis, self._limit)
        )
        stored = self._editor.weight(f"{name}_scale", scales)
        if scales.dtype == np.float32:
            return integers, stored, []
        wide = self._editor.node("Cast", [stored], f"{name}_wide", attributes={"to": int(ir.DataType.FLOAT)})
        return integers, wide.outputs[0], [wide]

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


def _forget_shapes(model: ir.Model) -> None:
    """Between inputs and outputs: every runtime infers them anew, and in a small model they take space."""
    kept = {*model.graph.inputs, *model.graph.outputs}
    for node in model.graph:
        for output in node.outputs:
            if output not in kept:
                output.shape = output.type = None
