"""OpenVINO's own form of a model (``.xml`` and ``.bin``), run the way that the library runs an ONNX file there."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import openvino

from enxuto.runtimes import LoadedModel, load_model
from enxuto.runtimes.openvino import OpenVinoModel, Ports
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.signature import TensorSpec

_DEFAULT = OnnxRuntimeSettings()


class IrModel(OpenVinoModel):
    """Loaded otherwise, and called by the very same code: what a call costs beyond the model is the same."""

    def _read(self) -> openvino.Model:
        return self._core.read_model(self._path)

    def _signature(self, model: openvino.Model) -> tuple[Ports, Ports]:
        inputs, outputs = ([_spec(port) for port in ports] for ports in (model.inputs, model.outputs))
        return (inputs, list(range(len(inputs)))), (outputs, list(range(len(outputs))))


def load_any(path: Path, settings: RunSettings = _DEFAULT, threads: int = 1) -> LoadedModel:
    """In place of the library's own ``load_model``."""
    if path.suffix != ".xml":
        return load_model(path, settings, threads)
    if not isinstance(settings, OpenVinoSettings):
        raise TypeError("only OpenVINO reads its own form")
    return IrModel(path, settings.threads or threads, settings)


def use_in(*modules: Any) -> None:
    """Let these modules load such models too."""
    for module in modules:
        module.load_model = functools.wraps(load_model)(load_any)


def _spec(port: openvino.ConstOutput) -> TensorSpec:
    """Shortest of its names: conversion adds longer ones to that of the file."""
    name = min(port.get_names(), key=lambda each: (len(each), each))
    axes = [None if axis.is_dynamic else axis.get_length() for axis in port.get_partial_shape()]
    return TensorSpec(name=name, dtype=str(port.get_element_type().to_dtype().name), shape=axes)
