"""Model files into ``onnx_ir`` and back."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError, EncodeError

from enxuto.errors import BadInput

_LARGEST_BYTES = 2**31 - 1
"""Of one protobuf message."""


def read_model(path: Path) -> ir.Model:
    """Raises BadInput: not ONNX, weights in other files, or types that the editor does not know."""
    try:
        model = ir.load(path, format="protobuf")
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise BadInput(
            f"The model file cannot be parsed as ONNX: {error}",
            code="model_not_onnx",
            hint="Upload the .onnx file as the exporter wrote it.",
        ) from error
    except ir.serde.SerdeError as error:
        raise BadInput(
            f"The model cannot be edited, since it holds what techniques cannot read: {_reason(error)}",
            code="model_not_editable",
            hint="Maps and sequences of maps, as ZipMap makes them, are not supported: export without them "
            "(zipmap=False for scikit-learn models).",
        ) from error
    _require_own_weights(model)
    return model


def write_model(model: ir.Model, path: Path) -> None:
    """One file, weights included."""
    try:
        data = ir.to_proto(model).SerializeToString(deterministic=True)
    except (EncodeError, ValueError) as error:
        raise BadInput(
            f"The model cannot be written as one ONNX file: {error}",
            code="model_too_large",
            hint=f"One file holds at most {_LARGEST_BYTES} bytes.",
        ) from error
    path.write_bytes(data)


def _require_own_weights(model: ir.Model) -> None:
    external = [
        str(value.name)
        for graph in model.graphs()
        for value in graph.initializers.values()
        if isinstance(value.const_value, ir.ExternalTensor)
    ]
    if external:
        raise BadInput(
            f"{len(external)} weights lie in other files, among them '{external[0]}'.",
            code="model_has_external_data",
            hint="Save the model as one file: onnx.save(onnx.load(path), path).",
        )


def _reason(error: BaseException) -> str:
    """The first sentence of the innermost cause; what follows asks for help with the package that raised it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{error}".partition(" Please contribute")[0]
