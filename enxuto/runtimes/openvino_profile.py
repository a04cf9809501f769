"""Records what OpenVINO does in its calls: counters of each node, and the graph as it was compiled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import numpy as np

from enxuto.runtimes.openvino import OpenVinoModel
from enxuto.runtimes.recording import RanNode, Recording, Tensor
from enxuto.settings import OpenVinoSettings

import openvino  # isort: skip - after what keeps it from calling home

_NOT_NODES = ("Input", "Output", "Const", "Constant", "Parameter", "Result")
_PRECISIONS = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "u8": "int8", "i8": "int8", "f64": "float64"}
_WHOLE_US = 0.5
"""Each call's time is rounded down to whole microseconds when it is added up, and so is the mean."""


class OpenVinoRecorder:
    """A compiled model with its counters on.

    The counters are a mean over all calls since the model was compiled. What the first calls took is taken off again,
    so that the mean holds for the rest; a median cannot be had.
    """

    def __init__(self, path: Path, threads: int, settings: OpenVinoSettings) -> None:
        self._model = OpenVinoModel(path, threads, settings, record=True)
        self.repeats = False  # what a loop runs is no node of its own here
        self._calls = 0
        self._first: dict[str, tuple[int, float]] = {}

    @property
    def nodes(self) -> int:
        return len(self._model.compiled.get_runtime_model().get_ordered_ops())

    def run(self, feeds: Mapping[str, np.ndarray]) -> None:
        self._model.run(feeds)
        self._calls += 1

    def settle(self) -> None:
        """What was run so far was warming up."""
        self._first = {info.node_name: (self._calls, _us(info.real_time)) for info in self._model.counters}

    def end(self, feeds: Mapping[str, np.ndarray]) -> Recording:
        counters = {info.node_name: info for info in self._model.counters}
        ran, trace = [], []
        for node in self._model.compiled.get_runtime_model().get_ordered_ops():
            info = counters.get(node.get_friendly_name())
            facts = {name: str(value.astype(str)) for name, value in node.get_rt_info().items()}
            if info is None or facts.get("layerType") in _NOT_NODES:
                continue
            counted = {"name": info.node_name, "kernel": info.exec_type, "mean_us": _us(info.real_time)}
            trace.append(counted | facts)
            if not _is_weight(node):
                told = info.status == openvino.ProfilingInfo.Status.EXECUTED
                ran.append(_ran_node(node, facts, [self._mean_us(info)] if told else []))
        text = json.dumps({"calls": self._calls, "nodes": trace}, indent=1)
        return Recording(ran, text, 0.0)

    def _mean_us(self, info: openvino.ProfilingInfo) -> float:
        calls, mean_us = self._first.get(info.node_name, (0, 0.0))
        first = calls * (mean_us + _WHOLE_US)
        return max(0.0, (self._calls * (_us(info.real_time) + _WHOLE_US) - first) / (self._calls - calls)) + _WHOLE_US


def _us(time: timedelta) -> float:
    return time / timedelta(microseconds=1)


def _ran_node(node: openvino.Node, facts: Mapping[str, str], times_us: list[float]) -> RanNode:
    inputs, outputs = [_tensor(port) for port in node.inputs()], [_tensor(port) for port in node.outputs()]
    return RanNode(
        name=node.get_friendly_name(),
        op_type=facts["layerType"],
        inputs=inputs,
        outputs=outputs,
        complete=all(outputs) and all(map(_is_told, node.inputs(), inputs)),
        attributes={},
        sources=[name for name in facts.get("originalLayersNames", "").split(",") if name],
        precision=_PRECISIONS.get(facts.get("runtimePrecision", "")),
        times_us=np.array(times_us),
    )


def _is_told(port: openvino.Input, tensor: Tensor | None) -> bool:
    """Whether an input has a shape and a type, or is left out, as a bias may be."""
    return tensor is not None or port.get_partial_shape() == openvino.PartialShape([0])


def _is_weight(node: openvino.Node) -> bool:
    """Whether nothing that it is made of comes from the model's inputs."""
    if str(node.get_rt_info()["layerType"].astype(str)) in ("Const", "Constant"):
        return True
    sources = [port.get_source_output().get_node() for port in node.inputs()]
    return bool(sources) and all(map(_is_weight, sources))


def _tensor(port: openvino.Input | openvino.Output) -> Tensor | None:
    """None where its shape was not settled by the last call, or it is not there."""
    shape, dtype = port.get_partial_shape(), str(port.get_element_type().get_type_name())
    if shape.is_dynamic or dtype in ("dynamic", "undefined"):
        return None
    source = port.get_source_output() if isinstance(port, openvino.Input) else port
    node = source.get_node()
    # Named after the node that makes it, so that a tensor that is read twice is known as one.
    name = f"{node.get_friendly_name()}:{source.get_index()}"
    is_weight = isinstance(port, openvino.Input) and _is_weight(node)
    return Tensor(name, _numpy_name(dtype), tuple(int(axis) for axis in shape.to_shape()), is_weight)


def _numpy_name(name: str) -> str:
    """f32 → float32, u8 → uint8, i64 → int64, bf16 → bfloat16, boolean → bool."""
    if name == "boolean":
        return "bool"
    for short, long in (("bf", "bfloat"), ("f", "float"), ("u", "uint"), ("i", "int")):
        if name.startswith(short) and name[len(short) :].isdigit():
            return long + name[len(short) :]
    return name
