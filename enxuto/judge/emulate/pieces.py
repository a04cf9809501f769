"""A graph that is run in pieces by ONNX Runtime, between nodes that are computed elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime as ort
from onnx import NodeProto, ValueInfoProto, helper

from enxuto.judge.emulate.fused import FusedGraph, names_read

Compute = Callable[[NodeProto, list[np.ndarray | None]], np.ndarray]


@dataclass
class _Piece:
    """Nodes that the runtime can run at once, and those that can be computed elsewhere after them."""

    inside: list[NodeProto] = field(default_factory=list)
    elsewhere: list[NodeProto] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    """What the nodes inside need of pieces before and of the model's inputs."""
    hands_on: list[str] = field(default_factory=list)
    session: ort.InferenceSession | None = None


class Pieces:
    """Runs the whole graph, ``compute`` standing in for the nodes in ``elsewhere``."""

    def __init__(self, graph: FusedGraph, elsewhere: Sequence[NodeProto], compute: Compute) -> None:
        self._graph = graph
        self._compute = compute
        self._weights: dict[str, np.ndarray] = {}
        """Of nodes computed elsewhere."""
        self._pieces = _cut(graph, {node.output[0] for node in elsewhere})
        self._last_reader = {
            name: position
            for position, piece in enumerate(self._pieces)
            for name in (*piece.reads, *(name for node in piece.elsewhere for name in node.input))
        }

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The graph's outputs by name."""
        values = dict(feeds)
        for position, piece in enumerate(self._pieces):
            self._run_inside(piece, values)
            for node in piece.elsewhere:
                inputs = [self._value(name, values) if name else None for name in node.input]
                values[node.output[0]] = self._compute(node, inputs)
            self._forget(values, position)
        return {name: self._value(name, values) for name in self._graph.outputs}

    def _run_inside(self, piece: _Piece, values: dict[str, np.ndarray]) -> None:
        if piece.inside and piece.hands_on:
            if piece.session is None:
                piece.session = self._session(piece, values)
            given = {name: values[name] for name in piece.reads}
            values.update(zip(piece.hands_on, piece.session.run(piece.hands_on, given), strict=True))

    def _forget(self, values: dict[str, np.ndarray], position: int) -> None:
        outputs = set(self._graph.outputs)
        for name in [name for name in values if self._last_reader.get(name, -1) <= position and name not in outputs]:
            del values[name]

    def _value(self, name: str, values: Mapping[str, np.ndarray]) -> np.ndarray:
        if name in values:
            return values[name]
        if name not in self._weights:
            weight = self._graph.weight(name)
            if weight is None:
                raise ValueError(f"nothing gives '{name}'")
            self._weights[name] = weight
        return self._weights[name]

    def _session(self, piece: _Piece, values: Mapping[str, np.ndarray]) -> ort.InferenceSession:
        """Not optimized again: the graph is what the runtime made of the file."""
        weights = dict.fromkeys(name for node in piece.inside for name in names_read(node))
        graph = helper.make_graph(
            piece.inside,
            "piece",
            [_described(name, values[name]) for name in piece.reads],
            [ValueInfoProto(name=name) for name in piece.hands_on],
            [self._graph.tensor(name) for name in weights if name in self._graph.weights],
        )
        proto = self._graph.proto
        model = onnx.ModelProto(ir_version=proto.ir_version, opset_import=proto.opset_import, graph=graph)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _described(name: str, array: np.ndarray) -> ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, [None] * array.ndim)


def _cut(graph: FusedGraph, elsewhere: set[str]) -> list[_Piece]:
    """By how many nodes computed elsewhere lie on the longest way to each node."""
    ready: dict[str, int] = {}
    pieces = [_Piece()]
    for node in graph.nodes:
        depth = max((ready.get(name, 0) for name in names_read(node)), default=0)
        pieces.extend(_Piece() for _ in range(depth + 1 - len(pieces)))
        outside = node.output[0] in elsewhere
        (pieces[depth].elsewhere if outside else pieces[depth].inside).append(node)
        ready.update(dict.fromkeys(node.output, depth + outside))
    wanted = set(graph.outputs)
    for piece in reversed(pieces):
        _connect(piece, graph, wanted)
    return pieces


def _connect(piece: _Piece, graph: FusedGraph, wanted: set[str]) -> None:
    """Tell what a piece reads and hands on; ``wanted`` grows by what it reads, and so on to the pieces before it."""
    wanted.update(name for node in piece.elsewhere for name in node.input)
    made = {name for node in piece.inside for name in node.output if name}
    piece.hands_on = [name for node in piece.inside for name in node.output if name in wanted]
    inner = {name for node in piece.inside for name in _made_within(node)}
    read = dict.fromkeys(name for node in piece.inside for name in names_read(node))
    piece.reads = [name for name in read if name not in made and name not in graph.weights and name not in inner]
    wanted.update(piece.reads)


def _made_within(node: NodeProto) -> set[str]:
    """Names that graphs inside a node make for themselves."""
    made: set[str] = set()
    for one in node.attribute:
        for graph in (one.g, *one.graphs):
            made.update(value.name for value in (*graph.input, *graph.initializer))
            for inner in graph.node:
                made.update(inner.output)
                made |= _made_within(inner)
    return made
