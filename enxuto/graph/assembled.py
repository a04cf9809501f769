"""The numbers of a weight that is cut up and joined again on the way, as exporters bring gates into ONNX's order."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from enxuto.graph.weights import (
    array_of,
    computed_array,
    in_default_domain,
    initializers_behind,
    input_of,
    is_constant,
    rearranged,
)


def assembled_array(value: ir.Value | None) -> np.ndarray | None:
    """Of a value that is made of initializers alone, none of which appears in it more than once; else None."""
    whole = initializers_behind(value)
    most = sum(array_of(weight).size for weight in whole)
    return _assembled(value, most, {}) if value is not None and whole else None


def _assembled(value: ir.Value, most: int, known: dict[ir.Value, np.ndarray | None]) -> np.ndarray | None:
    if value not in known:
        found = computed_array(value)
        if found is None:
            found = _made(value, most, known)
        known[value] = found if found is None or found.size <= most else None
    return known[value]


def _made(value: ir.Value, most: int, known: dict[ir.Value, np.ndarray | None]) -> np.ndarray | None:
    node = value.producer()
    if node is None or not in_default_domain(node) or not node.inputs:
        return None
    given = node.inputs if node.op_type == "Concat" else node.inputs[:1]
    parts = [None if one is None else _assembled(one, most, known) for one in given]
    arrays = [part for part in parts if part is not None]
    if len(arrays) != len(parts):
        return None
    match node.op_type:
        case "Concat":
            small = sum(part.size for part in arrays) <= most
            return np.concatenate(arrays, axis=node.attributes["axis"].as_int()) if small else None
        case "Slice":
            return _sliced(node, arrays[0])
        case "Unsqueeze" | "Squeeze":
            axes = _numbers(node, "axes", 1)
            if axes is None:
                return None
            return (
                np.expand_dims(arrays[0], tuple(axes))
                if node.op_type == "Unsqueeze"
                else arrays[0].squeeze(tuple(axes))
            )
        case "Transpose" | "Reshape" | "Identity":
            return rearranged(node, arrays[0])
    return None


def _sliced(node: ir.Node, data: np.ndarray) -> np.ndarray | None:
    starts, ends = _numbers(node, "starts", 1), _numbers(node, "ends", 2)
    axes, steps = _numbers(node, "axes", 3), _numbers(node, "steps", 4)
    if starts is None or ends is None or (axes is None and input_of(node, 3) is not None):
        return None
    if steps not in (None, [1] * len(starts)) or (steps is None and input_of(node, 4) is not None):
        return None
    cut = [slice(None)] * data.ndim
    for axis, start, end in zip(axes or range(len(starts)), starts, ends, strict=True):
        cut[axis] = slice(start, end)
    return data[tuple(cut)]


def _numbers(node: ir.Node, name: str, position: int) -> list[int] | None:
    """Of an attribute in older opsets, of an input in newer ones."""
    if name in node.attributes:
        return list(node.attributes[name].as_ints())
    value = input_of(node, position)
    return [int(one) for one in array_of(value).ravel()] if value is not None and is_constant(value) else None
