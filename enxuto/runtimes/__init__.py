"""Load a model and run it, whatever the runtime."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from enxuto.runtimes.base import LoadedModel
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings

__all__ = ["LoadedModel", "load_model"]

_DEFAULT = OnnxRuntimeSettings()


def load_model(path: Path, settings: RunSettings = _DEFAULT, threads: int = 1) -> LoadedModel:
    """Load a model file into the runtime that the settings are for.

    ``threads`` inside one operator hold where the settings leave them open.

    Raises:
        BadInput: this runtime cannot load it (``model_fails_to_load``).
        OutOfCapacity: it asked for more memory than there is.
    """
    threads = settings.threads or threads
    match settings:
        case OnnxRuntimeSettings():
            from enxuto.runtimes.onnxruntime import OnnxRuntimeModel

            return OnnxRuntimeModel(path, threads, settings)
        case OpenVinoSettings():
            from enxuto.runtimes.openvino import OpenVinoModel

            return OpenVinoModel(path, threads, settings)
        case _:
            assert_never(settings)
