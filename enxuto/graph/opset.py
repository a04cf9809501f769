"""Raises a model's opset where a technique needs newer operators, and checks that its outputs stay what they were."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnxscript.version_converter import ConvertVersionPass

from enxuto.errors import BadInput, NotApplicable
from enxuto.graph.feeds import a_batch
from enxuto.graph.loaded import load_edited
from enxuto.graph.normalize import keep_signature, normalized, opset_of
from enxuto.techniques.base import Context

_TOLERANCE = 1e-3
"""Of the relative L2 distance of outputs."""


def with_opset(model: ir.Model, minimum: int, context: Context) -> ir.Model:
    """A copy whose opset is at least ``minimum``; raises NotApplicable where it cannot be converted faithfully."""
    opset = opset_of(model)
    if opset >= minimum:
        return model
    try:
        converted = normalized(model)
        ConvertVersionPass(minimum, fallback=True)(converted)
        converted = normalized(converted)
        keep_signature(model, converted)
    except Exception as error:  # the converter raises whatever its adapters raise
        raise _not_converted(opset, minimum, str(error)) from error
    if opset_of(converted) < minimum:
        raise _not_converted(opset, minimum, "an operator has no newer equivalent")
    _require_same_outputs(model, converted, minimum, context)
    return converted


def _require_same_outputs(before: ir.Model, after: ir.Model, minimum: int, context: Context) -> None:
    opset = opset_of(before)
    try:
        expected = _outputs(before, context)
    except BadInput as error:
        raise _not_converted(opset, minimum, f"the outcome cannot be checked, {error.detail}") from error
    try:
        found = _outputs(after, context)
    except BadInput as error:
        raise _not_converted(opset, minimum, error.detail) from error
    for name, array in expected.items():
        other = found.get(name, np.array([]))
        if array.shape != other.shape or array.dtype != other.dtype:
            raise _not_converted(opset, minimum, f"output '{name}' changed its shape or type")
        if array.dtype.kind == "f" and _distance(array, other) > _TOLERANCE:
            raise _not_converted(opset, minimum, f"output '{name}' changed")


def _outputs(model: ir.Model, context: Context) -> dict[str, np.ndarray]:
    loaded = load_edited(model, context.scratch)
    arrays = loaded.run(a_batch(loaded, context))
    return {spec.name: array for spec, array in zip(loaded.outputs, arrays, strict=True)}


def _distance(expected: np.ndarray, found: np.ndarray) -> float:
    a, b = np.nan_to_num(expected.astype(np.float64)), np.nan_to_num(found.astype(np.float64))
    return float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(a)), 1e-30)


def _not_converted(opset: int, minimum: int, reason: str) -> NotApplicable:
    return NotApplicable(
        f"The model's opset is {opset} and {minimum} is needed, but it cannot be converted: {reason}.",
        code="opset_too_old",
        hint=f"Export the model with opset {minimum} or later.",
    )
