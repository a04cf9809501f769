"""A part of a graph as a model of its own, to be run with numbers made up for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from enxuto.graph.fusion.match import behind
from enxuto.graph.normalize import opset_of
from enxuto.runtimes import LoadedModel, load_model

_LARGEST_NODES = 400
_LARGEST_CONSTANT = 1 << 20
"""Elements: what masks and shapes are made of is small, weights are not."""


class Region:
    """What lies between some cut values and one result."""

    def __init__(self, model: ir.Model, cuts: Sequence[ir.Value], result: ir.Value) -> None:
        self._model = model
        self.result = result
        stop = set(cuts) | _only_shapes(result, set(cuts))
        position = {node: number for number, node in enumerate(model.graph)}
        self.nodes = sorted(behind(result, stop), key=lambda node: position.get(node, 0))
        """In the order of the graph."""
        read = dict.fromkeys(value for node in self.nodes for value in node.inputs if value is not None)
        self.constants = [value for value in read if value.is_initializer()]
        self.inputs = [
            value for value in read if not value.is_initializer() and (value in stop or value.producer() is None)
        ]
        """Every value that numbers are needed for: cuts, the graph's inputs, and what only lends its shape."""

    @property
    def opset(self) -> int:
        return opset_of(self._model)

    def small(self) -> bool:
        """Whether it is as small as masks and shapes are, and a chain of plain operators."""
        sizes = [value.const_value.size if value.const_value is not None else 0 for value in self.constants]
        nested = any(a.type == ir.AttributeType.GRAPH for node in self.nodes for a in node.attributes.values())
        return len(self.nodes) <= _LARGEST_NODES and max(sizes, default=0) <= _LARGEST_CONSTANT and not nested

    def beside(self, rival: Sequence[onnx.NodeProto], output: str, scratch: Path) -> LoadedModel:
        """This part and other nodes that read the same, loaded as one model; both results are its outputs.

        Raises BadInput where it cannot be loaded.
        """
        graph = onnx.helper.make_graph(
            [*(ir.to_proto(node) for node in self.nodes), *rival],
            "region",
            [_declared(str(value.name), value.dtype, len(value.shape or ())) for value in self.inputs],
            [_declared(str(self.result.name), ir.DataType.FLOAT), _declared(output, ir.DataType.FLOAT)],
            [ir.to_proto(value.const_value) for value in self.constants if value.const_value is not None],
        )
        domains = {**self._model.opset_imports, "com.microsoft": 1}
        opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in domains.items()]
        path = scratch / "region.onnx"
        proto = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=self._model.ir_version)
        path.write_bytes(proto.SerializeToString())
        try:
            return load_model(path)
        finally:
            path.unlink()


def results(loaded: LoadedModel, feeds: Mapping[ir.Value, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Of the part and of its rival. Raises BadInput where either cannot be run."""
    ours, theirs = loaded.run({str(value.name): array for value, array in feeds.items()})
    return ours, theirs


def _declared(name: str, dtype: ir.DataType | None, rank: int | None = None) -> onnx.ValueInfoProto:
    shape = None if rank is None else [None] * rank
    return onnx.helper.make_tensor_value_info(name, int(dtype or ir.DataType.FLOAT), shape)


def _only_shapes(result: ir.Value, cuts: set[ir.Value]) -> set[ir.Value]:
    """Hidden states outside of this part of which nothing but the shape is read."""
    nodes = list(behind(result, cuts))
    inside = _depending(nodes, cuts)
    asked = {node.inputs[0] for node in nodes if node.op_type == "Shape"}
    return {value for value in asked if value is not None and value not in inside and _is_hidden_state(value)}


def _is_hidden_state(value: ir.Value) -> bool:
    return value.producer() is not None and value.dtype == ir.DataType.FLOAT and len(value.shape or ()) == 3


def _depending(nodes: Sequence[ir.Node], cuts: set[ir.Value]) -> set[ir.Value]:
    """What these nodes, the last one first, compute from the cuts."""
    depending = set(cuts)
    grown = True
    while grown:
        before = len(depending)
        for node in reversed(nodes):
            if any(value in depending for value in node.inputs):
                depending.update(node.outputs)
        grown = len(depending) > before
    return depending
