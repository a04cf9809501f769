"""Model files into ``onnx_ir`` and back."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from enxuto.errors import BadInput
from enxuto.graph.mapped import map_weights
from enxuto.graph.write import write_model

__all__ = ["read_model", "write_model"]


def read_model(path: Path) -> ir.Model:
    """Weights in other files beside the model are mapped, not read.

    Raises:
        BadInput: not ONNX, weights that are not beside it, or types that the editor does not know.
    """
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
    _require_weights_at_hand(model)
    map_weights(model)
    return model


def _require_weights_at_hand(model: ir.Model) -> None:
    """Weights in other files must lie beside the model: it is read from a folder that holds all of them."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if isinstance(tensor, ir.ExternalTensor) and not Path(tensor.path).is_file():
                raise BadInput(
                    f"The weight '{value.name}' lies in '{tensor.location}', which is not beside the model.",
                    code="external_data",
                    hint="Give the files of its weights with the model, or save it as one file: "
                    "onnx.save(onnx.load(path), path).",
                )


def _reason(error: BaseException) -> str:
    """The first sentence of the innermost cause; what follows asks for help with the package that raised it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{error}".partition(" Please contribute")[0]
