"""Puts quantization into a graph as pairs of QuantizeLinear and DequantizeLinear, which runtimes fuse into kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.weights import array_of, is_constant
from enxuto.quantization.affine import (
    WEIGHT_LIMIT,
    ActivationType,
    Affine,
    Range,
    for_range,
    for_signed_range,
    pair_scales,
    quantize_bias,
    scales_that_hold,
    spread,
    weight_scales,
)
from enxuto.quantization.bias import shift
from enxuto.quantization.channels import inputs_of
from enxuto.quantization.linear import Linear
from enxuto.quantization.placement import Placement
from enxuto.quantization.rounding import Rounding, rounded

_MOST_ONES = 64
"""Channels of a convolution with ones, which costs their square."""


@dataclass(frozen=True)
class Scheme:
    """What integers look like."""

    activations: ActivationType
    pairs_saturate: bool
    """Whether products are added in pairs in 16 bits, as AVX2 without VNNI does: weights are kept too small for that
    to overflow, whichever two of an output channel meet."""
    per_channel: bool
    rounding: Rounding = "nearest"
    weights_have_zeros: bool = True
    """Whether zero points of weights, which are zero, are written. Where a convolution and a matrix product share them,
    as equal constants do, OpenVINO computes most products in floats once the model's shapes are fixed (2026.4)."""


@dataclass(frozen=True)
class Seen:
    """What calibration says of a graph's tensors, by name."""

    ranges: Mapping[str, Range]
    """Of each tensor that a range is taken from."""
    means: Mapping[str, np.ndarray]
    """Of each channel of inputs of convolutions and matrix products, where biases are to be corrected."""


def insert(graph: ir.Graph, placement: Placement, seen: Seen, scheme: Scheme) -> None:
    """Edit a normalized graph in place."""
    _Insertion(graph, placement, seen, scheme).run()


class _Insertion:
    def __init__(self, graph: ir.Graph, placement: Placement, seen: Seen, scheme: Scheme) -> None:
        self._graph = graph
        self._placement = placement
        self._scheme = scheme
        self._editor = Editor(graph)
        self._signed = {value for product in placement.products for value in product.inputs}
        self._affine = {root: self._affine_of(root, seen.ranges[str(root.name)]) for root in self._roots()}
        self._means = seen.means
        self._parameters: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}
        """Scale and zero point by root."""

    def run(self) -> None:
        for linear in self._placement.linears:
            self._quantize_weights(linear)
        for node in self._placement.followers:
            self._quantize_constants(node)
        placement = self._placement
        readers = {*(one.node for one in placement.linears), *placement.followers, *placement.products}
        for tensor in self._placement.tensors:
            self._quantize_tensor(tensor, readers)

    def _roots(self) -> list[ir.Value]:
        return list(dict.fromkeys(self._placement.range_of.values()))

    def _affine_of(self, root: ir.Value, values: Range) -> Affine:
        return for_signed_range(values) if root in self._signed else for_range(values, self._scheme.activations)

    def _quantize_tensor(self, tensor: ir.Value, readers: set[ir.Node]) -> None:
        root = self._placement.range_of[tensor]
        if root not in self._parameters:
            self._parameters[root] = self._weights_of(str(root.name), self._affine[root])
        uses = [use for use in tensor.uses() if tensor in self._placement.written or use.node in readers]
        channels = self._read_in_two_layouts(tensor, readers)
        stored = f"{tensor.name}_{self._affine[root].zero_point.dtype}"
        quantize = self._editor.node("QuantizeLinear", [tensor, *self._parameters[root]], stored)
        restore = self._dequantize(quantize.outputs[0], *self._parameters[root], f"{tensor.name}_real")
        new = [quantize, restore]
        if channels:
            new += self._through_ones(str(tensor.name), restore.outputs[0], channels, self._parameters[root])
        for use in uses:
            use.node.replace_input_with(use.idx, new[-1].outputs[0])
        producer = tensor.producer()
        if producer is None:
            self._graph.insert_before(self._graph[0], new)
        else:
            self._graph.insert_after(producer, new)
        if tensor.is_graph_output() and tensor in self._placement.written:
            self._hand_over(tensor, new[-1].outputs[0])

    def _read_in_two_layouts(self, tensor: ir.Value, readers: set[ir.Node]) -> int:
        """The channels of an image that a float kernel writes, and both a convolution and a sum read; else 0.

        onnxruntime keeps integer images channels last. What comes from a float kernel does not, and where a sum
        meets it, every sum behind is transposed back and forth. An integer convolution in between, with ones, costs
        less than that.
        """
        if tensor in self._placement.written or tensor.producer() is None or tensor.is_graph_output():
            return 0
        nodes = [use.node for use in tensor.uses() if use.node in readers]
        sums = [node for node in nodes if node.op_type == "Add"]
        counts = {inputs_of(one) for one in self._placement.linears if one.node.op_type == "Conv" and one.node in nodes}
        return min(counts) if sums and len(counts) == 1 and max(counts) <= _MOST_ONES else 0

    def _through_ones(
        self, name: str, value: ir.Value, channels: int, parameters: tuple[ir.Value, ir.Value]
    ) -> list[ir.Node]:
        """Nodes behind a restored tensor that give it back unchanged, by way of an integer convolution."""
        ones = self._editor.weight(f"{name}_ones", (WEIGHT_LIMIT * np.eye(channels)).astype(np.int8)[:, :, None, None])
        one = Affine(np.array(1 / WEIGHT_LIMIT, np.float32), np.array(0, np.int8))
        weight = self._dequantize(ones, *self._weights_of(f"{name}_ones", one), f"{name}_ones_real")
        conv = self._editor.node(
            "Conv", [value, weight.outputs[0]], f"{name}_same", attributes={"kernel_shape": [1, 1]}
        )
        quantize = self._editor.node("QuantizeLinear", [conv.outputs[0], *parameters], f"{name}_same_quantized")
        return [weight, conv, quantize, self._dequantize(quantize.outputs[0], *parameters, f"{name}_same_real")]

    def _hand_over(self, tensor: ir.Value, restored: ir.Value) -> None:
        """Let the restored tensor be the graph's output, under its name."""
        name, restored.type, restored.shape = tensor.name, tensor.type, tensor.shape
        tensor.name = self._editor.free_name(f"{name}_before_quantization")
        restored.name = name
        for position, output in enumerate(self._graph.outputs):
            if output is tensor:
                self._graph.outputs[position] = restored

    def _quantize_weights(self, linear: Linear) -> None:
        node, name = linear.node, str(linear.node.inputs[1].name if linear.node.inputs[1] else "")
        axis = linear.channel_axis if self._scheme.per_channel else None
        input_scale = float(self._affine[self._placement.range_of[_data(node)]].scale)
        scales = weight_scales(linear.weight, axis, WEIGHT_LIMIT)
        if self._scheme.pairs_saturate:
            scales = np.maximum(scales, pair_scales(linear.weight, linear.channel_axis, axis))
        if linear.bias is not None:
            held = scales_that_hold(scales, input_scale, linear.bias)
            scales = held if self._scheme.per_channel else np.max(held)
        integers = self._rounded(linear, scales)
        self._replace(node, 1, f"{name}_int8", integers, scales, axis)
        bias = self._corrected(linear, integers, scales)
        if bias is not None and node.op_type != "ConvTranspose":  # whose kernel adds it in floats
            bias_scales = (scales * np.float32(input_scale)).astype(np.float32)
            stored = quantize_bias(bias, bias_scales)
            self._replace(
                node, 2, f"{node.outputs[0].name}_bias", stored, bias_scales, 0 if self._scheme.per_channel else None
            )
        for factor in ("alpha", "beta"):
            node.attributes.pop(factor, None)

    def _rounded(self, linear: Linear, scales: np.ndarray) -> np.ndarray:
        axis = linear.channel_axis
        each = spread(scales, linear.weight.ndim, axis if self._scheme.per_channel else None)
        steps = np.moveaxis(linear.weight / each, axis, 0)
        return np.moveaxis(rounded(steps, WEIGHT_LIMIT, self._scheme.rounding), 0, axis)

    def _corrected(self, linear: Linear, integers: np.ndarray, scales: np.ndarray) -> np.ndarray | None:
        """The bias, less what rounding the weights has moved the mean of each output channel by."""
        means = self._means.get(str(_data(linear.node).name))
        if means is None or linear.node.op_type == "MatMul":
            return linear.bias
        axis = linear.channel_axis
        each = spread(scales, linear.weight.ndim, axis if self._scheme.per_channel else None)
        moved = shift(linear.node, integers * each - linear.weight, axis, means)
        if moved is None:
            return linear.bias
        bias = np.zeros(linear.channels) if linear.bias is None else linear.bias
        corrected: np.ndarray = (bias - moved).astype(np.float32)
        return corrected

    def _quantize_constants(self, node: ir.Node) -> None:
        if node.op_type not in ("Add", "Mul", "Concat"):
            return
        for position, value in enumerate(node.inputs):
            if value is not None and is_constant(value):
                array = array_of(value)
                affine = for_range(Range(float(array.min()), float(array.max())), self._scheme.activations)
                self._replace(
                    node, position, f"{value.name}_{self._scheme.activations}",
                    affine.quantize(array), affine.scale, None, affine.zero_point,
                )  # fmt: skip

    def _replace(
        self, node: ir.Node, position: int, name: str, integers: np.ndarray, scales: np.ndarray, axis: int | None,
        zero_points: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        """Let an input be read from integers stored in the file."""
        stored = self._editor.weight(name, integers)
        implied = integers.dtype == np.int32 or not self._scheme.weights_have_zeros
        if zero_points is None and implied:  # nobody reads that of a bias, and it takes 4 bytes each
            scale = self._editor.weight(f"{name}_scale", scales)
            restore = self._dequantize(stored, scale, None, f"{name}_real", axis)
        else:
            zeros = np.zeros(scales.shape, dtype=integers.dtype) if zero_points is None else zero_points
            restore = self._dequantize(stored, *self._weights_of(name, Affine(scales, zeros)), f"{name}_real", axis)
        self._graph.insert_before(node, restore)
        if position >= len(node.inputs):
            node.resize_inputs(position + 1)
        node.replace_input_with(position, restore.outputs[0])

    def _weights_of(self, name: str, affine: Affine) -> tuple[ir.Value, ir.Value]:
        return (
            self._editor.weight(f"{name}_scale", affine.scale),
            self._editor.weight(f"{name}_zero", affine.zero_point),
        )

    def _dequantize(
        self, stored: ir.Value, scale: ir.Value, zero_point: ir.Value | None, name: str, axis: int | None = None
    ) -> ir.Node:
        attributes: dict[str, int | float | str | list[int]] = {} if axis is None else {"axis": axis}
        parameters = [scale] if zero_point is None else [scale, zero_point]
        return self._editor.node("DequantizeLinear", [stored, *parameters], name, attributes=attributes)


def _data(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    if value is None:
        raise ValueError(f"'{node.name}' has no data input")
    return value
