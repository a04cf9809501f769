"""Weights stored in 16 bits, cast back to float32 by the first nodes of the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import ml_dtypes
import numpy as np
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.graph.weights import array_of, is_constant

HalfType = Literal["float16", "bfloat16"]

_FORMATS = {
    "float16": (np.dtype(np.float16), ir.DataType.FLOAT16),
    "bfloat16": (np.dtype(ml_dtypes.bfloat16), ir.DataType.BFLOAT16),
}
SMALLEST_ELEMENTS = 128
"""A cast node takes some 100 bytes: a weight with fewer elements would save less than that."""


@dataclass(frozen=True)
class Halved:
    stored: list[str]
    """Weights now in 16 bits."""
    too_large: list[str]
    """Weights left in float32: some of their values are beyond what the format can hold."""


def candidates(model: ir.Model) -> list[ir.Value]:
    """Float32 weights that are worth storing in 16 bits."""
    return [
        value
        for value in model.graph.initializers.values()
        if is_constant(value)
        and value.dtype == ir.DataType.FLOAT
        and array_of(value).size >= SMALLEST_ELEMENTS
        and not value.is_graph_output()
        and value.uses()
    ]


def store_in_16_bits(model: ir.Model, dtype: HalfType) -> Halved:
    """Edit a normalized model in place. Each weight is stored once, however many nodes read it."""
    editor = Editor(model.graph)
    done = Halved([], [])
    casts = []
    for weight in candidates(model):
        half = _in_16_bits(array_of(weight), dtype)
        name = str(weight.name)
        if half is None:
            done.too_large.append(name)
            continue
        casts.append(_cast_back(editor, weight, half, dtype))
        done.stored.append(name)
    if casts:
        model.graph.insert_before(model.graph[0], casts)
    return done


def _in_16_bits(array: np.ndarray, dtype: HalfType) -> np.ndarray | None:
    """Rounded to nearest, or None where a finite value would become infinite."""
    with np.errstate(over="ignore"):
        half = array.astype(_FORMATS[dtype][0])
    overflows = np.isinf(half.astype(np.float32)) & np.isfinite(array)
    return None if overflows.any() else half


def _cast_back(editor: Editor, weight: ir.Value, half: np.ndarray, dtype: HalfType) -> ir.Node:
    stored = editor.weight(f"{weight.name}_{dtype}", half, _FORMATS[dtype][1])
    cast = editor.node("Cast", [stored], f"{weight.name}_cast", attributes={"to": int(ir.DataType.FLOAT)})
    cast.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    cast.outputs[0].shape = ir.Shape(half.shape)
    weight.replace_all_uses_with(cast.outputs[0])
    editor.drop_if_unused(weight)
    return cast
