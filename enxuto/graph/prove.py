"""Proof that what came out is a model like the one that went in: it checks, keeps its signature, loads and runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from enxuto.errors import BadInput
from enxuto.runtimes import load_model


def require_valid(path: Path) -> None:
    """The file stands on its own and follows the specification."""
    try:
        onnx.checker.check_model(str(path))
    except (onnx.checker.ValidationError, ValueError) as error:
        raise BadInput(
            f"The transformed model breaks the ONNX specification: {str(error).strip()}",
            code="output_invalid",
            hint="Check the original with onnx.checker.check_model; where it passes, report this as a bug.",
        ) from error


def require_same_signature(expected: list[str], found: list[str]) -> None:
    """Inputs and outputs keep their names, order, types and shapes, symbolic dimensions included; see ``signature``."""
    differences = [f"{old} became {new}" for old, new in zip(expected, found, strict=False) if old != new]
    if differences or len(expected) != len(found):
        raise BadInput(
            f"The signature changed: {'; '.join(differences) or f'{len(expected)} became {len(found)} tensors'}.",
            code="output_signature_changed",
            hint="Leave out the technique that the recipe applied last, and report this as a bug.",
        )


def require_runs(source: Path, path: Path, feeds: Mapping[str, np.ndarray]) -> None:
    """The model loads in onnxruntime and runs once. One that only the original could run is the recipe's fault."""
    try:
        load_model(path).run(feeds)
    except BadInput as error:
        load_model(source).run(feeds)  # raises where the original is at fault
        raise BadInput(
            f"The original model runs, the transformed one does not: {error.detail}",
            code="output_fails_to_run",
            hint="The runtime lacks a kernel that the recipe relies on: use another technique or type.",
        ) from error


def signature(model: ir.Model) -> list[str]:
    """One line a tensor; initializers that are inputs as well (IR version 3) are weights, not inputs."""
    inputs = [f"input {_described(value)}" for value in model.graph.inputs if not value.is_initializer()]
    return inputs + [f"output {_described(value)}" for value in model.graph.outputs]


def _described(value: ir.Value) -> str:
    shape = "of any rank" if value.shape is None else f"[{', '.join(_axis(dim) for dim in value.shape)}]"
    return f"'{value.name}' {value.type}{shape}"


def _axis(dim: int | ir.SymbolicDim) -> str:
    return "?" if dim == ir.SymbolicDim(None) or (isinstance(dim, int) and dim < 0) else str(dim)
