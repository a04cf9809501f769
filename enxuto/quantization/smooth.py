"""SmoothQuant: moves outliers of activations into the weights that read them, which leaves outputs as they were.

``s_j = max|x_j|^α / max|w_j|^(1−α)`` for every input channel j; activations are divided and weights multiplied by it.
Where nothing but linears reads a layer normalization, the division goes into its scale and bias, as the paper has it;
likewise into the gain that an RMS normalization ends with, however that is spelled out.
Where a residual branch reads it as well, as in models that normalize last, it is a multiplication of its own.

Source: Xiao et al., "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models", 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from enxuto.graph.edit import Editor
from enxuto.graph.fusion.match import made_by
from enxuto.graph.weights import array_of, computed_array, input_of, is_constant
from enxuto.quantization.affine import half_scales
from enxuto.quantization.linear import Linear, linears

OPERATORS = frozenset({"Gemm", "MatMul"})
_SMALLEST = 1e-5
"""Of weights' peaks and of factors, as in the authors' code."""


@dataclass(frozen=True)
class Group:
    """Linears that read one tensor."""

    data: ir.Value
    readers: list[Linear]

    @property
    def normalized_by(self) -> ir.Node | None:
        """The layer normalization, or the gain behind another normalization, that writes the tensor."""
        node = made_by(self.data, "LayerNormalization", "RMSNormalization", "Mul")
        return node if node is not None and (node.op_type != "Mul" or _gain(node) is not None) else None


def _gain(product: ir.Node) -> int | None:
    """The position of what multiplies each channel with a number of its own, as RMS normalization ends."""
    for position in (0, 1):
        value = input_of(product, position)
        if value is not None and is_constant(value) and array_of(value).size > 1:
            shape = array_of(value).shape
            return position if shape[-1] == array_of(value).size else None
    return None


def groups(graph: ir.Graph, *, behind_norms_only: bool) -> list[Group]:
    """Everything that can be smoothed in a normalized model."""
    found: dict[ir.Value, list[Linear]] = {}
    for linear in linears(graph, OPERATORS):
        data = linear.node.inputs[0]
        if data is not None and not data.is_graph_input():
            found.setdefault(data, []).append(linear)
    every = [Group(data, readers) for data, readers in found.items()]
    return [group for group in every if group.normalized_by is not None or not behind_norms_only]


def factors(peaks: np.ndarray, weights: list[np.ndarray], alpha: float) -> np.ndarray:
    """What activations are divided by, float32, one an input channel.

    ``peaks``: largest magnitudes of the activations; ``weights``: [inputs, outputs] each.
    """
    largest = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0).clip(_SMALLEST)
    scales: np.ndarray = peaks**alpha / largest ** (1 - alpha)
    return scales.clip(_SMALLEST).astype(np.float32)


def smooth(model: ir.Model, found: list[Group], peaks: Mapping[str, np.ndarray], alpha: float) -> tuple[int, int]:
    """Edit a normalized model in place; returns how many groups were folded into norms, and how many multiply."""
    editor = Editor(model.graph)
    folded = multiplied = 0
    for group in found:
        seen = peaks.get(str(group.data.name))
        if seen is None or len(seen) != _columns(group.readers[0]).shape[0]:
            continue
        scales = factors(seen, [_columns(linear) for linear in group.readers], alpha)
        scales = np.where(seen > 0, scales, np.float32(1.0))  # a channel that was silent may speak on other samples
        if _read_by_linears_alone(group) and _divide_norm(editor, group, scales):
            folded += 1
        else:
            scales = _divide(editor, group, scales)
            multiplied += 1
        for linear in group.readers:
            _multiply_weight(editor, linear, scales)
    passes.RemoveUnusedNodesPass()(model)
    return folded, multiplied


def _columns(linear: Linear) -> np.ndarray:
    """[inputs, outputs]"""
    return linear.weight if linear.channel_axis == 1 else linear.weight.T


def _read_by_linears_alone(group: Group) -> bool:
    readers = {linear.node for linear in group.readers}
    return set(group.data.consumers()) == readers and not group.data.is_graph_output()


def _divide_norm(editor: Editor, group: Group, scales: np.ndarray) -> bool:
    norm = group.normalized_by
    if norm is None or len([output for output in norm.outputs if output.uses()]) != 1:
        return False
    gain = _gain(norm) if norm.op_type == "Mul" else None
    weights = {position: input_of(norm, position) for position in ((1, 2) if gain is None else (gain,))}
    given = {position: value for position, value in weights.items() if value is not None}
    if not all(is_constant(value) and array_of(value).size == len(scales) for value in given.values()):
        return False
    for position, value in given.items():
        name = f"{value.name}_smooth"
        norm.replace_input_with(position, editor.weight(name, array_of(value) / scales))
    return True


def _divide(editor: Editor, group: Group, scales: np.ndarray) -> np.ndarray:
    """Returns the scales that it divides by: those whose inverse is a float16, where they all have one near."""
    name, inverse = f"{group.data.name}_smooth", (1 / scales).astype(np.float32)
    stored = half_scales(inverse)
    factor = editor.weight(f"{name}_factor", stored)
    nodes = []
    if stored.dtype == np.float16:
        nodes.append(editor.node("Cast", [factor], f"{name}_wide", attributes={"to": int(ir.DataType.FLOAT)}))
        factor = nodes[-1].outputs[0]
    nodes.append(editor.node("Mul", [group.data, factor], name))
    editor.graph.insert_before(group.readers[0].node, nodes)
    for linear in group.readers:
        linear.node.replace_input_with(0, nodes[-1].outputs[0])
    exact: np.ndarray = 1 / stored.astype(np.float32)
    return exact


def _multiply_weight(editor: Editor, linear: Linear, scales: np.ndarray) -> None:
    old = linear.node.inputs[1]
    array = computed_array(old)
    if old is None or array is None:
        raise ValueError(f"'{linear.node.name}' lost its weight")
    shape = (-1, 1) if linear.channel_axis == 1 else (1, -1)
    linear.node.replace_input_with(1, editor.weight(f"{old.name}_smooth", array * scales.reshape(shape)))
