"""Strided slices of images, with channels of zeros behind them or not, as the 1×1 convolution that they are.

That is how residual networks without weights in their shortcuts bring a sum's sides to one shape. Runtimes move such
slices value by value, in floats and in integers; a convolution with ones is several times faster, and keeps to their
layout.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.weights import array_of, in_default_domain, input_of, is_constant

_FAR = 2**31 - 2
"""An end that no image reaches."""
_IMAGE_AXES = (2, 3)
_LARGEST_WEIGHT = 1 << 16
"""Elements of a matrix of ones and zeros that is worth its bytes."""
_KEEPS_CHANNELS = frozenset({"Relu", "Clip", "LeakyRelu", "MaxPool", "AveragePool", "Add", "Identity"})


def slices_as_convolutions(graph: ir.Graph) -> int:
    """Edit a normalized graph in place; returns how many were replaced."""
    editor = Editor(graph)
    replaced = 0
    for node in list(graph):
        steps = _steps(node)
        if steps is None or node.graph is None:
            continue
        chain = [node]
        while (following := _only_reader(chain[-1])) is not None and (more := _steps(following)):
            steps = [one * other for one, other in zip(steps, more, strict=True)]
            chain.append(following)
        pads = (0, 0)
        if (following := _only_reader(chain[-1])) is not None and (found := _channel_pads(following)):
            pads = found
            chain.append(following)
        channels = _channels(node.inputs[0])
        if channels is None or channels * (channels + sum(pads)) > _LARGEST_WEIGHT:
            continue
        _replace(editor, chain, steps, channels, pads)
        replaced += 1
    return replaced


def _replace(editor: Editor, chain: list[ir.Node], steps: list[int], channels: int, pads: tuple[int, int]) -> None:
    ones = np.pad(np.eye(channels, dtype=np.float32), (pads, (0, 0)))[:, :, None, None]
    name = str(chain[-1].outputs[0].name)
    conv = editor.node(
        "Conv",
        [chain[0].inputs[0], editor.weight(f"{name}_ones", ones)],
        f"{name}_strided",
        attributes={"kernel_shape": [1, 1], "strides": steps},
    )
    editor.replace(chain[-1], [conv])
    for node in reversed(chain[:-1]):
        editor.graph.remove(node, safe=True)


def _steps(node: ir.Node) -> list[int] | None:
    """How far apart the rows and columns are that a slice takes, from the first to the last; None for any other."""
    if node.op_type != "Slice" or not in_default_domain(node) or len(node.inputs) < 5:
        return None
    arrays = [
        array_of(value).ravel() if value is not None and is_constant(value) else None for value in node.inputs[1:5]
    ]
    if any(array is None for array in arrays):
        return None
    starts, ends, axes, steps = (array.tolist() for array in arrays if array is not None)
    if any(starts) or any(end < _FAR for end in ends) or not set(axes) <= set(_IMAGE_AXES) or min(steps) < 1:
        return None
    by_axis = dict(zip(axes, steps, strict=True))
    return [by_axis.get(axis, 1) for axis in _IMAGE_AXES]


def _channel_pads(node: ir.Node) -> tuple[int, int] | None:
    """Channels of zeros that a pad puts before and behind an image's, where it does nothing else."""
    mode = node.attributes.get("mode")
    if node.op_type != "Pad" or not in_default_domain(node) or (mode and mode.as_string() != "constant"):
        return None
    amounts, fill = input_of(node, 1), input_of(node, 2)
    if amounts is None or not is_constant(amounts) or input_of(node, 3) is not None:
        return None
    if fill is not None and (not is_constant(fill) or np.any(array_of(fill))):
        return None
    each = array_of(amounts).ravel().tolist()
    if len(each) != 8 or min(each) < 0 or any(each[i] for i in (0, 2, 3, 4, 6, 7)):
        return None
    return each[1], each[5]


def _only_reader(node: ir.Node) -> ir.Node | None:
    output = node.outputs[0]
    readers = output.uses()
    if len(readers) != 1 or output.is_graph_output():
        return None
    (use,) = readers
    return use.node if use.idx == 0 and use.node.graph is node.graph else None


def _channels(value: ir.Value | None) -> int | None:
    """Of a float32 image that a convolution made, told by its weight; None for sequences and volumes."""
    for _ in range(16):
        node = value.producer() if value is not None else None
        if node is None:
            return None
        if node.op_type == "Conv" and in_default_domain(node):
            weight = input_of(node, 1)
            array = array_of(weight) if weight is not None and is_constant(weight) else None
            return len(array) if array is not None and array.ndim == 4 and array.dtype == np.float32 else None
        if node.op_type not in _KEEPS_CHANNELS or any(is_constant(each) for each in node.inputs[:1]):
            return None
        value = node.inputs[0]
    return None
