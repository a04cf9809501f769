"""Scales and shifts in front of convolutions and matrix products, merged into their weights and biases.

Models bring the standardization of their inputs, ``(x - mean) / deviation``, and batch norms behind activations: passes
over the data that the product behind can do on the way. Arithmetic elsewhere is left alone, where runtimes look for it
as part of a layer norm or a GELU. It is for models that stay in floating point: features of many ranges that meet in
one scale of 8 bits lose what standardizing them was for (a network for digits went from 51 to 16 dB).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.products import Product, number_of, own_product
from enxuto.graph.weights import array_of, in_default_domain, input_of, is_constant, replace_array

_LARGEST_SHIFT = 64.0
"""In what arrives at the product, which standardizing makes about one. What a shift takes off in front, a bias takes
off behind: each doubling costs a bit of floating point's 24."""
_ARITHMETIC = frozenset({"Add", "Div", "Mul", "Sub"})
_MOVES = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


@dataclass(frozen=True)
class _Step:
    """In front of a product: ``scale * data + shift``, either [channels]."""

    node: ir.Node
    data: ir.Value
    scale: np.ndarray
    shift: np.ndarray


def merge_scaling(model: ir.Model) -> None:
    """Edit a normalized model whose shapes are known, in place."""
    editor = Editor(model.graph)
    for node in list(model.graph):
        product = own_product(node)
        if product is not None:
            _merge(editor, product)


def _merge(editor: Editor, product: Product) -> None:
    """From the product backwards, as far as it goes."""
    scale = np.ones(1)
    while (step := _step_before(product)) is not None:
        scaled = _scaled(product, step.scale)
        if not (np.isfinite(scaled).all() and np.isfinite(step.shift).all()):
            return
        if step.shift.any() and not _shift(editor, product, step.shift, float(np.abs(step.shift * scale).max())):
            return
        replace_array(product.weight, scaled)
        scale = scale * step.scale
        product.node.replace_input_with(0, step.data)
        constants = [value for value in step.node.inputs if value is not None and is_constant(value)]
        editor.graph.remove(step.node, safe=True)
        for constant in constants:
            editor.drop_if_unused(constant)


def _scaled(product: Product, scale: np.ndarray) -> np.ndarray:
    """The weight, not finite where its type ends."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled: np.ndarray = (product.array * product.spread(scale)).astype(product.array.dtype)
    return scaled


def _step_before(product: Product) -> _Step | None:
    result = product.node.inputs[0]
    node = result.producer() if result is not None else None
    if result is None or node is None or len(result.uses()) != 1 or result.is_graph_output():
        return None
    if not in_default_domain(node) or node.graph is not product.node.graph:
        return None
    if node.op_type == "BatchNormalization":
        return _batch_norm(product, node)
    return _arithmetic(product, node) if node.op_type in _ARITHMETIC else None


def _arithmetic(product: Product, node: ir.Node) -> _Step | None:
    data, constant = node.inputs
    if node.op_type in ("Add", "Mul") and is_constant(data):
        data, constant = constant, data
    if data is None or constant is None or not is_constant(constant) or not _is_made_of_input(data):
        return None
    numbers = _by_channel(product, data, array_of(constant).astype(np.float64))
    if numbers is None or (node.op_type == "Div" and not numbers.all()):
        return None
    one, nothing = np.ones(product.channels), np.zeros(product.channels)
    match node.op_type:
        case "Add":
            return _Step(node, data, one, numbers)
        case "Sub":
            return _Step(node, data, one, -numbers)
        case "Mul":
            return _Step(node, data, numbers, nothing)
        case _:
            return _Step(node, data, 1 / numbers, nothing)


def _batch_norm(product: Product, node: ir.Node) -> _Step | None:
    data, *figures = node.inputs
    training = number_of(node, "training_mode", 0) or len(node.outputs) > 1
    if data is None or data.shape is None or training or not all(is_constant(figure) for figure in figures):
        return None
    if len(data.shape) != product.array.ndim:  # the second axis counts channels: the product's too, of so many
        return None
    gamma, beta, mean, variance = (array_of(figure).astype(np.float64) for figure in figures if figure is not None)
    scale = gamma / np.sqrt(variance + number_of(node, "epsilon", 1e-5))
    return _Step(node, data, scale, beta - mean * scale) if scale.shape == (product.channels,) else None


def _is_made_of_input(value: ir.Value | None) -> bool:
    """An input of the model, moved, cast and scaled at most."""
    while value is not None and not value.is_graph_input():
        node = value.producer()
        if node is None or node.op_type not in _MOVES | _ARITHMETIC or not in_default_domain(node):
            return False
        changing = [each for each in node.inputs if not is_constant(each)]
        if len(changing) != 1:
            return False
        value = changing[0]
    return value is not None


def _by_channel(product: Product, data: ir.Value, constant: np.ndarray) -> np.ndarray | None:
    """A constant that spreads over everything but channels, which the data has all of."""
    rank = len(data.shape) if data.shape is not None else 0
    axis = 1 if product.convolves else rank - 1
    if data.shape is None or rank < max(2, constant.ndim) or data.shape[axis] != product.channels:
        return None
    shape = (1,) * (rank - constant.ndim) + constant.shape
    if any(size != 1 for place, size in enumerate(shape) if place != axis) or shape[axis] not in (1, product.channels):
        return None
    return np.broadcast_to(constant.ravel(), (product.channels,))


def _shift(editor: Editor, product: Product, shift: np.ndarray, largest: float) -> bool:
    """By the bias, if that can be: at the edges of what is padded there is nothing to shift, and a product that has no
    bias of its own would get a node behind it for the one in front.
    """
    node, bias = product.node, input_of(product.node, 2)
    if largest > _LARGEST_SHIFT or node.op_type == "MatMul" or _pads(node) or not (bias is None or is_constant(bias)):
        return False
    summed = tuple(axis for axis in range(product.array.ndim) if axis != (0 if product.outputs_first else 1))
    added = (product.array.astype(np.float64) * product.spread(shift)).sum(axis=summed)
    given = array_of(bias) if bias is not None else np.zeros(1)
    if given.size != 1 and given.shape not in ((len(added),), (1, len(added))):
        return False
    new = editor.weight(f"{node.outputs[0].name}_bias", (given.ravel() + added).astype(product.array.dtype))
    node.resize_inputs(3)
    node.replace_input_with(2, new)
    if bias is not None:
        editor.drop_if_unused(bias)
    return True


def _pads(node: ir.Node) -> bool:
    pads, way = node.attributes.get("pads"), node.attributes.get("auto_pad")
    return (pads is not None and any(pads.as_ints())) or (way is not None and way.as_string().startswith("SAME"))
