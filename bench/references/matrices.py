"""The largest matrix product of a real network, and what it reads."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from bench.references.case import Real, named

_MOST_INPUTS = 3000
_OPERATORS = frozenset({"Gemm", "MatMul"})
_LARGEST = 1024 * 1024
"""Of a weight: a table of classes is not what is looked for."""


def suits(model: ir.Model) -> bool:
    return len(named(model, frozenset({"MatMul"}))) > 1


def matrix_and_inputs(real: Real) -> tuple[str, np.ndarray, np.ndarray]:
    """Its name, [outputs, inputs] and [rows, inputs]."""
    found = {name: one for name, one in named(real.model, _OPERATORS).items() if one.weight.size <= _LARGEST}
    name, linear = max(found.items(), key=lambda item: item[1].weight.size)
    data = str(linear.node.inputs[0].name) if linear.node.inputs[0] else ""
    rows = real.inner([data])[data]
    rows = rows.reshape(-1, rows.shape[-1])
    weight = linear.weight if linear.channel_axis == 0 else linear.weight.T
    return name, np.ascontiguousarray(weight), np.ascontiguousarray(rows[:: max(len(rows) // _MOST_INPUTS, 1)])
