"""The rows that a convolution multiplies by its weights, in the order in which they are summed: channels last."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto

from enxuto.judge.emulate.products import attribute_list


def windows(
    node: NodeProto, image: np.ndarray, kernel: tuple[int, ...], zero: int
) -> tuple[np.ndarray, tuple[int, ...]]:
    """[channels, space…] → [positions, kernel · channels] and the space of the output; ``zero`` fills padding."""
    axes = len(kernel)
    strides = attribute_list(node, "strides", [1] * axes)
    dilations = attribute_list(node, "dilations", [1] * axes)
    reach = [dilation * (size - 1) + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    begins, ends = _padding(node, image.shape[1:], reach, strides)
    padded = np.pad(image, [(0, 0), *zip(begins, ends, strict=True)], constant_values=zero)
    views = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(1, axes + 1)))
    steps = (slice(None), *(slice(None, None, step) for step in (*strides, *dilations)))
    views = views[steps]
    space = views.shape[1 : axes + 1]
    rows = np.moveaxis(views, 0, -1)
    return np.ascontiguousarray(rows).reshape(int(np.prod(space)), -1), space


def _padding(node: NodeProto, sizes: tuple[int, ...], reach: list[int], strides: list[int]) -> tuple[list[int], ...]:
    """Before and behind each axis."""
    axes = len(sizes)
    automatic = next((one.s.decode() for one in node.attribute if one.name == "auto_pad"), "NOTSET")
    if automatic in ("NOTSET", ""):
        pads = attribute_list(node, "pads", [0] * (2 * axes))
        return pads[:axes], pads[axes:]
    if automatic == "VALID":
        return [0] * axes, [0] * axes
    totals = [
        max(0, (-(-size // step) - 1) * step + one - size)
        for size, one, step in zip(sizes, reach, strides, strict=True)
    ]
    smaller, larger = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return (smaller, larger) if automatic == "SAME_UPPER" else (larger, smaller)
