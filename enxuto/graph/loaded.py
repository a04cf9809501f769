"""Loads a model as it was edited, by way of files that are gone again at once: a large one leaves gigabytes."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from enxuto.graph.write import write_model
from enxuto.runtimes.onnxruntime import OnnxRuntimeModel
from enxuto.settings import OnnxRuntimeSettings

_FILE = "edited.onnx"
_DEFAULT = OnnxRuntimeSettings()


def load_edited(
    model: ir.Model, scratch: Path, settings: OnnxRuntimeSettings = _DEFAULT, threads: int = 1
) -> OnnxRuntimeModel:
    """Raises BadInput: ONNX Runtime does not load it, or it is too large to be written."""
    written: list[str] = []
    try:
        written = write_model(model, scratch / _FILE, few_files=False)
        return OnnxRuntimeModel(scratch / _FILE, settings.threads or threads, settings)
    finally:
        for name in (_FILE, *written):
            (scratch / name).unlink(missing_ok=True)
