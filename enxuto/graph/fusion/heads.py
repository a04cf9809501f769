"""The way back from the heads that attention computes with to the projection that they were cut from.

Some exporters cut three projections into heads, each on its own. Others compute queries, keys and values in one product
and take them out of it afterwards, by any chain of reshaping, turning and picking. So there are two ways to look, and
what either finds is proven by running it.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from enxuto.graph.fusion.match import integers, last_axis, made_by, number, with_number
from enxuto.graph.weights import input_of

_LONGEST_WAY = 12
"""Nodes between a projection and the product that reads it."""
_MOVING = ("Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_PICKING = ("Gather", "Split")


@dataclass(frozen=True)
class Part:
    """One of several equal parts of a projection's last axis."""

    projection: ir.Value
    position: int = 0
    count: int = 1


@dataclass(frozen=True)
class Projected:
    """What attention reads of a projection."""

    part: Part
    heads: int
    width: int
    """Of one head."""
    factor: float
    """That the part is multiplied with on the way."""


def split_alone(value: ir.Value | None) -> Projected | None:
    """The projection whose last axis is split into heads on the way to this value."""
    factor, split = 1.0, None
    for _ in range(_LONGEST_WAY):
        node = made_by(value, "Mul", "Div", "Transpose", "Reshape", "Identity")
        if node is None:
            break
        scaled = with_number(node) if node.op_type in ("Mul", "Div") else None
        if scaled is not None:
            value, number_ = scaled
            factor *= number_ if node.op_type == "Mul" else 1 / number_
        elif node.op_type in ("Mul", "Div"):
            break
        else:
            value = node.inputs[0]
        if node.op_type == "Reshape":
            split = _last_two(input_of(node, 1), node.inputs[0]) or split
            if split is not None and _rank(node.inputs[0]) == 3:
                break
    if split is None or value is None:
        return None
    return Projected(Part(value), *split, factor)


def taken_out(operand: ir.Value | None, heads: int, width: int) -> Projected | None:
    """Through all that moves numbers and changes none, to the projection that they lie in, whatever axes it had on the
    way.
    """
    value, factor, position, count = operand, 1.0, 0, 1
    for _ in range(_LONGEST_WAY):
        node = made_by(value, "Mul", "Div", *_MOVING, *_PICKING)
        if node is None or value is None or (count > 1 and node.op_type in _PICKING):
            break
        if node.op_type in ("Mul", "Div"):
            scaled = with_number(node)
            if scaled is None:
                break
            value, factor = scaled[0], factor * (scaled[1] if node.op_type == "Mul" else 1 / scaled[1])
            continue
        if node.op_type in _PICKING:
            picked = _picked(node, value)
            if picked is None:
                break
            position, count = picked
        value = node.inputs[0]
    if value is None or _rank(value) != 3 or last_axis(value) not in (None, count * heads * width):
        return None
    return Projected(Part(value, position, count), heads, width, factor)


def heads_and_width(operand: ir.Value | None) -> tuple[int, int] | None:
    """Of queries or values as attention reads them, [batch, heads, sequence, width]."""
    shape = None if operand is None or operand.shape is None else list(operand.shape)
    if shape is None or len(shape) != 4:
        return None
    return (shape[1], shape[3]) if isinstance(shape[1], int) and isinstance(shape[3], int) else None


def _picked(node: ir.Node, value: ir.Value) -> tuple[int, int] | None:
    """Which of how many: where one of an axis is picked that is not the last of three."""
    data, rank = node.inputs[0], _rank(node.inputs[0])
    if data is None or data.shape is None or rank is None or rank <= 3:
        return None
    axis = node.attributes.get("axis")
    along = (axis.as_int() if axis is not None else 0) % rank
    count = data.shape[along]
    if node.op_type == "Split":
        return (node.outputs.index(value), len(node.outputs)) if count == len(node.outputs) else None
    index = number(input_of(node, 1))
    return (int(index) % count, count) if index is not None and isinstance(count, int) else None


def _last_two(shape: ir.Value | None, split: ir.Value | None) -> tuple[int, int] | None:
    """Heads and width, from a shape of four numbers that ends in them; one may be left for the runtime to find."""
    given = integers(shape)
    if given is None:
        node = made_by(shape, "Concat")
        parts = [] if node is None else [integers(part) or [0] for part in node.inputs]
        given = [0, 0, *(one for part in parts for one in part)]
    elif len(given) != 4:
        return None
    if min(given[-2], given[-1]) == 0:
        return None
    heads, width, whole = given[-2], given[-1], last_axis(split) or 0
    heads, width = (whole // width if heads < 0 else heads), (whole // heads if width < 0 else width)
    return (heads, width) if heads > 0 and width > 0 and whole in (0, heads * width) else None


def _rank(value: ir.Value | None) -> int | None:
    return None if value is None or value.shape is None else len(value.shape)
