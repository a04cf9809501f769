"""Load a model and run it, whatever the runtime."""

from __future__ import annotations

from pathlib import Path

from enxuto.runtimes.base import LoadedModel
from enxuto.runtimes.onnxruntime import OnnxRuntimeModel
from enxuto.workload import RuntimeName

__all__ = ["LoadedModel", "load_model"]

_LOADERS = {"onnxruntime": OnnxRuntimeModel}


def load_model(path: Path, runtime: RuntimeName, threads: int) -> LoadedModel:
    """Load a model file.

    Raises:
        BadInput: this runtime cannot load it (``model_fails_to_load``).
        OutOfCapacity: it asked for more memory than there is.
    """
    return _LOADERS[runtime](path, threads)
