"""Numbers in 16 bits: weights that are cast back to float32 by the first nodes, and what can be computed in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import ml_dtypes
import numpy as np
import onnx_ir as ir
import onnxruntime.capi.onnxruntime_pybind11_state as bindings

from enxuto.graph.edit import Editor
from enxuto.graph.weights import array_of, in_default_domain, is_constant

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


OVERFLOWING = frozenset(
    {
        "CumSum", "Exp", "GroupNormalization", "InstanceNormalization", "LRN", "LayerNormalization", "LogSoftmax",
        "LpNormalization", "MeanVarianceNormalization", "Pow", "ReduceL1", "ReduceL2", "ReduceLogSum",
        "ReduceLogSumExp", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Softplus",
    }
)  # fmt: skip
"""Operators whose inner sums, squares or powers soon leave the range of float16."""
_HEAVY = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN"})
"""Where the time goes."""


def computes_in_half(model: ir.Model) -> bool:
    """Whether a convolution, matrix product or recurrent layer reads a float16 weight, in any of the graphs."""
    return any(
        value is not None and value.dtype == ir.DataType.FLOAT16
        for node in model.graph.all_nodes()
        if node.op_type in _HEAVY
        for value in node.inputs
    )


def heavy_without_kernels(model: ir.Model) -> list[str]:
    """Operators of this model that take its time and have no float16 kernel in this build on this processor."""
    used = {node.op_type for node in model.graph.all_nodes() if in_default_domain(node)} & _HEAVY
    return sorted(used - _half_kernels())


@cache
def _half_kernels() -> frozenset[str]:
    """Of the default domain. A build registers FP16 kernels only where the processor has the instructions."""
    kernels = bindings.get_all_opkernel_def()
    return frozenset(
        kernel.op_name
        for kernel in kernels
        if kernel.provider == "CPUExecutionProvider"
        and kernel.domain in ("", "ai.onnx")
        and "tensor(float16)" in kernel.type_constraints.get("T", ())
    )
