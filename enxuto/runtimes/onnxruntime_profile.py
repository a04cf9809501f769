"""Records what ONNX Runtime does in each call: its own profiler's events, and the graph as it was optimized."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper
from onnx.parser import parse_model

from enxuto.runtimes.onnxruntime import OnnxRuntimeModel
from enxuto.runtimes.recording import RanNode, Recording, Tensor
from enxuto.settings import OnnxRuntimeSettings

_OPTIMIZED, _WEIGHTS = "optimized.onnx", "optimized.weights"
_EVENT = "_kernel_time"
_RUN = "model_run"
_DTYPES = {"float": "float32", "double": "float64"}
_LARGEST_TRACE = 8 << 20
"""Bytes of events that are kept, of the last calls."""
_LOOPS = frozenset({"Loop", "Scan"})
_CHAIN_NODES, _CHAIN_CALLS, _COLDER = 32, 50, 2
_CHAIN = f'<ir_version: 8, opset_import: ["" : 17]> chain (float[1] x0) => (float[1] x{_CHAIN_NODES}) {{\n'
_HALF_US = 0.5
"""Events hold whole microseconds, rounded down."""


class OnnxRuntimeRecorder:
    """A session with its profiler on."""

    def __init__(self, path: Path, threads: int, settings: OnnxRuntimeSettings, folder: Path) -> None:
        self._graph, self._prefix = folder / _OPTIMIZED, folder / "trace"
        self._threads, self._settings, self._weights = threads, settings, path.parent
        self._model = OnnxRuntimeModel(_named_nodes(path), threads, settings, self._switched_on)
        self._optimized = onnx.load(self._graph, load_external_data=False)
        (folder / _WEIGHTS).unlink(missing_ok=True)
        self._calls = self._settled = 0
        nodes = [node.op_type for graph in graphs(self._optimized.graph) for node in graph.node]
        self.nodes = len(nodes)
        self.repeats = not _LOOPS.isdisjoint(nodes)

    def _switched_on(self, options: ort.SessionOptions) -> None:
        options.enable_profiling = True
        options.profile_file_prefix = str(self._prefix)
        options.optimized_model_filepath = str(self._graph)
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", _WEIGHTS)
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(self._weights))

    def run(self, feeds: Mapping[str, np.ndarray]) -> None:
        self._model.run(feeds)
        self._calls += 1

    def settle(self) -> None:
        self._settled = self._calls

    def end(self, feeds: Mapping[str, np.ndarray]) -> Recording:
        calls = self.events()
        nodes, trace = _ran_nodes(calls, self._optimized, feeds), _trace(calls)
        if self._settings.execution_mode == "parallel":
            return Recording(nodes, trace, 0.0)
        return Recording(nodes, trace, _most_recording_us(self._threads, self._settings, self._graph.parent))

    def events(self) -> list[list[dict[str, Any]]]:
        """Of each call since it settled; that of the call itself is the last."""
        return list(_calls(json.loads(self._model.end_profiling().read_text(encoding="utf-8"))))[self._settled :]


def _most_recording_us(threads: int, settings: OnnxRuntimeSettings, folder: Path) -> float:
    """A few times what a node is told to take that has next to nothing to do: in a model that fills the caches with
    other things, recording takes longer."""
    chain = parse_model(_CHAIN + "".join(f"x{at + 1} = Neg(x{at})\n" for at in range(_CHAIN_NODES)) + "}")
    path = folder / "chain.onnx"
    onnx.save(chain, path)
    recorder = OnnxRuntimeRecorder(path, threads, settings, folder)
    for _ in range(_CHAIN_CALLS):
        recorder.run({"x0": np.ones(1, np.float32)})
    times_us = [float(event["dur"]) + _HALF_US for call in recorder.events() for event in call[:-1]]
    return _COLDER * statistics.median(times_us)


def graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph and those inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs] if attribute.HasField("g") else attribute.graphs:
                yield from graphs(inner)


def name_nodes(model: ModelProto) -> bool:
    """Give nodes without a name of their own that of their first output; say whether there were any."""
    taken: set[str] = set()
    changed = False
    for node in (node for graph in graphs(model.graph) for node in graph.node):
        if not node.name or node.name in taken:
            node.name = next((output for output in node.output if output and output not in taken), f"#{len(taken)}")
            changed = True
        taken.add(node.name)
    return changed


def _named_nodes(path: Path) -> Path | bytes:
    """The same model where all nodes have names, since events go by them; weights in other files stay there."""
    model = onnx.load(path, load_external_data=False)
    return model.SerializeToString() if name_nodes(model) else path


def _calls(events: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Events of each call; that of the call itself is the last."""
    call: list[dict[str, Any]] = []
    for event in events:
        if event.get("cat") == "Node" and str(event["name"]).endswith(_EVENT):
            call.append(event)
        elif event["name"] == _RUN:
            yield [*call, event]
            call = []


def _trace(calls: Sequence[list[dict[str, Any]]]) -> str:
    """As many of the last calls as fit, in the form that trace viewers read."""
    kept: list[str] = []
    size = 0
    for call in reversed(calls):
        text = ",\n".join(json.dumps(event, separators=(",", ":")) for event in call)
        size += len(text)
        if kept and size > _LARGEST_TRACE:
            break
        kept.append(text)
    return "[" + ",\n".join(reversed(kept)) + "]\n"


_Key = tuple[str, str, str]
"""Name, operator and index within its graph: subgraphs may repeat a name."""


@dataclass
class _Seen:
    times_us: np.ndarray
    runs: int = 0
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)


def _ran_nodes(
    calls: Sequence[list[dict[str, Any]]], optimized: ModelProto, feeds: Mapping[str, np.ndarray]
) -> list[RanNode]:
    seen: dict[_Key, _Seen] = {}
    for position, call in enumerate(calls):
        for event, own_us in _own_times(call[:-1]):
            name, args = str(event["name"]).removesuffix(_EVENT), event["args"]
            key = (name, str(args["op_name"]), str(args["node_index"]))
            node = seen.setdefault(key, _Seen(np.zeros(len(calls))))
            node.times_us[position] += own_us
            node.runs += 1
            node.inputs, node.outputs = _tensors(args["input_type_shape"]), _tensors(args["output_type_shape"])
    protos = {node.name: node for graph in graphs(optimized.graph) for node in graph.node}
    tensors = _known_tensors(optimized, feeds, {key[0]: node for key, node in seen.items()}, protos)
    return [_ran_node(key, node, protos.get(key[0]), tensors) for key, node in seen.items()]


def _own_times(events: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], float]]:
    """Time of each node without those that ran inside it: a loop's event spans all of its body's."""
    own = [event["dur"] + _HALF_US for event in events]
    threads: dict[int, list[int]] = defaultdict(list)
    for position, event in enumerate(events):
        threads[event["tid"]].append(position)
    for positions in threads.values():
        around: list[int] = []
        for position in sorted(positions, key=lambda each: (events[each]["ts"], -events[each]["dur"])):
            while around and events[around[-1]]["ts"] + events[around[-1]]["dur"] <= events[position]["ts"]:
                around.pop()
            if around:
                own[around[-1]] -= events[position]["dur"] + _HALF_US
            around.append(position)
    return [(event, max(0.0, time_us)) for event, time_us in zip(events, own, strict=True)]


def _tensors(listed: Sequence[dict[str, list[int]]]) -> list[Tensor]:
    return [Tensor("", _DTYPES.get(dtype, dtype), tuple(shape)) for each in listed for dtype, shape in each.items()]


def _known_tensors(
    optimized: ModelProto, feeds: Mapping[str, np.ndarray], seen: Mapping[str, _Seen], protos: Mapping[str, NodeProto]
) -> dict[str, Tensor]:
    """Every tensor of the graph by its name. Events leave out weights that a kernel has packed for itself."""
    known = {name: Tensor(name, array.dtype.name, array.shape) for name, array in feeds.items()}
    for graph in graphs(optimized.graph):
        known |= {weight.name: _stored(weight) for weight in graph.initializer}
    for name, node in seen.items():
        outputs = [output for output in protos[name].output if output] if name in protos else []
        if len(outputs) == len(node.outputs):
            known |= {
                output: Tensor(output, tensor.dtype, tensor.shape)
                for output, tensor in zip(outputs, node.outputs, strict=True)
            }
    return known


def _stored(weight: TensorProto) -> Tensor:
    kind = TensorProto.DataType.Name(weight.data_type).lower()
    return Tensor(weight.name, _DTYPES.get(kind, kind), tuple(weight.dims), is_weight=True)


def _ran_node(key: _Key, seen: _Seen, proto: NodeProto | None, tensors: Mapping[str, Tensor]) -> RanNode:
    name, op_type, _ = key
    if proto is None or proto.op_type != op_type:
        return RanNode(
            name=name, op_type=op_type, inputs=seen.inputs, outputs=seen.outputs, complete=False, attributes={},
            sources=[name], precision=None, times_us=seen.times_us, runs=seen.runs / len(seen.times_us),
        )  # fmt: skip
    blocked = proto.domain.endswith(".nchwc") and not op_type.startswith("Reorder")
    return RanNode(
        name=name,
        op_type=f"nchwc.{op_type}" if blocked else op_type,
        inputs=[tensors.get(each) for each in proto.input],
        outputs=[tensors.get(each) for each in proto.output],
        complete=all(each in tensors for each in (*proto.input, *proto.output) if each),
        attributes={
            each.name: helper.get_attribute_value(each)
            for each in proto.attribute
            if each.type not in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
        },
        sources=[name],
        precision=None,
        times_us=seen.times_us,
        runs=seen.runs / len(seen.times_us),
    )
