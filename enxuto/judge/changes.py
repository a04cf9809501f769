"""What a technique changed, told by comparing the graph before with the graph after; knows no technique.

Techniques keep the names of tensors. Between tensors that both graphs have, the graph after either computes the same
as before, or it does not: then that is a changed layer. Where the graph after quantizes a tensor and restores it at
once, readers of the restored one read the same tensor, only coarser: that is a quantized tensor, and no layer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx_ir as ir

from enxuto.judge.graph_parts import (
    Region,
    constant_bytes,
    has_graphs,
    input_of,
    is_only_quantized,
    parameters_of,
    producer_of,
    region_of,
    restorations,
    same_numbers,
    same_operator,
    varying_tensors,
)
from enxuto.quantization.operators import CLIPPING

_WRITE_FLOATS = frozenset({"MatMul", "Gemm"})
"""Quantized, they read integers only: that their output is quantized is their readers' doing."""


@dataclass(frozen=True)
class ChangedLayer:
    """Nodes of the graph before that the graph after computes differently."""

    name: str
    """Of the node among them that has most weights."""
    operator: str
    parameters: int
    """Elements of their constant inputs."""
    bytes_saved: int
    outputs: tuple[str, ...]
    """Tensors of both graphs at which the change ends."""
    reads: tuple[str, ...]
    """Quantized tensors."""
    writes: str | None
    """The quantized tensor that it writes in integers."""
    nodes: tuple[str, ...]
    """What stands for it in the graph after, by name."""


@dataclass(frozen=True)
class Follower:
    """A node that is the same in both graphs, but reads and writes quantized tensors: it runs in integers between
    layers that do."""

    name: str
    operator: str
    reads: tuple[str, ...]
    writes: str


class Comparison:
    """Two forms of one graph, the nodes of the first with names of their own."""

    def __init__(self, before: ir.Graph, after: ir.Graph, factors: Mapping[str, np.ndarray] | None = None) -> None:
        """``factors``: what the graph after multiplies tensors by, broadcast against them (see ``scaling``)."""
        self.after = after
        self.factors = factors or {}
        self._before = {str(value.name): value for value in varying_tensors(before)}
        self.known: dict[ir.Value, str] = {}
        """Of the graph after: tensors that the graph before has as well, by their name there."""
        self.restored: dict[ir.Value, str] = {}
        """Of the graph after: tensors that were quantized and restored for everybody, by the tensor's name before."""
        self._find_tensors()
        self._after = {name: value for value, name in self.known.items()}

    @cached_property
    def missing(self) -> int:
        """Tensors of the graph before that the graph after has no more."""
        return len(self._before.keys() - self._after.keys())

    @property
    def tensors_before(self) -> int:
        return len(self._before)

    @cached_property
    def layers(self) -> list[ChangedLayer]:
        """In the graph's order."""
        return [self._layer(node, outputs) for node, outputs in self._changed.items()]

    @cached_property
    def followers(self) -> list[Follower]:
        """In the graph's order."""
        nodes = dict.fromkeys(value.producer() for value in self._before.values())
        found = [self._follower(node) for node in nodes if node is not None and node not in self._changed]
        return [one for one in found if one is not None]

    @cached_property
    def tensors(self) -> list[str]:
        """Quantized ones, in the graph's order."""
        quantized = set(self.restored.values())
        return [name for name in self._before if name in quantized]

    def in_order(self) -> list[ChangedLayer | Follower]:
        """Layers and followers as they stand in the graph."""
        position = {name: at for at, name in enumerate(self._before)}
        layers = {position[one.outputs[0]]: one for one in self.layers}
        followers = {position[one.writes]: one for one in self.followers}
        both: dict[int, ChangedLayer | Follower] = {**followers, **layers}
        return [both[at] for at in sorted(both)]

    def quantization_of(self, tensor: str) -> tuple[ir.Node, ir.Node]:
        """The two nodes of the graph after that quantize this tensor and restore it."""
        restored = next(value for value, name in self.restored.items() if name == tensor)
        restore = producer_of(restored)
        return producer_of(input_of(restore, 0)), restore

    def region_after(self, tensor: str) -> tuple[ir.Value, Region]:
        """How the graph after makes a tensor, before it quantizes it."""
        value = self._after[tensor]
        return value, region_of(value, lambda one: one in self.known or one in self.restored)

    def reads_of(self, layer: ChangedLayer) -> list[str]:
        """Tensors of both graphs that a layer reads, quantized or not."""
        found = [read for output in layer.outputs for read in self.region_after(output)[1].reads]
        return list(dict.fromkeys(self.restored.get(read) or self.known[read] for read in found))

    def nodes_of(self, layer: ChangedLayer) -> list[ir.Node]:
        """What stands for a layer in the graph after."""
        return list(dict.fromkeys(node for output in layer.outputs for node in self.region_after(output)[1].nodes))

    def _find_tensors(self) -> None:
        shared = [pair for pair in restorations(self.after) if is_only_quantized(pair[0])]
        handed_over = {
            restored: source
            for source, restored in shared
            if str(restored.name) in self._before and str(source.name) not in self._before
        }
        for value in varying_tensors(self.after):
            if str(value.name) in self._before and value not in handed_over:
                self.known[value] = str(value.name)
        for restored, source in handed_over.items():
            self.known[source] = str(restored.name)
        for source, restored in shared:
            if source in self.known and (restored in handed_over or str(restored.name) not in self._before):
                self.restored[restored] = self.known[source]

    @cached_property
    def _changed(self) -> dict[ir.Node, list[str]]:
        """Nodes before whose outputs come about differently, with the names of these outputs."""
        changed: dict[ir.Node, list[str]] = {}
        for name, value in self._before.items():
            node, twin = value.producer(), self._after.get(name)
            if node is None or twin is None or has_graphs(node):
                continue
            if not self._same(value, twin, inside=False):
                changed.setdefault(node, []).append(name)
        return changed

    def _same(self, before: ir.Value | None, after: ir.Value | None, *, inside: bool = True) -> bool:
        if before is None or after is None:
            return before is after
        if inside and (name := self.known.get(after, self.restored.get(after))) is not None:
            return name == before.name
        if before.const_value is not None and after.const_value is not None:
            return same_numbers(before.const_value, after.const_value)
        node, twin = before.producer(), after.producer()
        if node is None or twin is None or before.index() != after.index():
            return False
        unbounded = before.name in self.factors and {node.op_type, twin.op_type} <= CLIPPING
        if not unbounded and not same_operator(node, twin):
            return False
        if unbounded:  # equalization leaves it to quantization to cut off above
            return self._same(node.inputs[0], twin.inputs[0])
        return len(node.inputs) == len(twin.inputs) and all(map(self._same, node.inputs, twin.inputs))

    def _layer(self, node: ir.Node, outputs: Sequence[str]) -> ChangedLayer:
        before = region_of(self._before[outputs[0]], self._is_in_both)
        after = [self.region_after(name)[1] for name in outputs]
        computing = [one for one in before.nodes if any(self._is_in(value) for value in one.outputs)]
        named = max(computing, key=lambda one: (parameters_of([one]), one is node))
        return ChangedLayer(
            name=str(named.name),
            operator=named.op_type,
            parameters=parameters_of(before.nodes),
            bytes_saved=constant_bytes(before.nodes) - constant_bytes([one for part in after for one in part.nodes]),
            outputs=tuple(outputs),
            reads=self._quantized(value for region in after for value in region.reads),
            writes=None if named.op_type in _WRITE_FLOATS else self._written(self._before[outputs[0]]),
            nodes=tuple(dict.fromkeys(str(one.name) for part in after for one in part.nodes)),
        )

    def _follower(self, node: ir.Node) -> Follower | None:
        value = self._after.get(str(node.outputs[0].name))
        twin = value.producer() if value else None
        reads = self._quantized(read for read in twin.inputs if read) if twin else ()
        writes = self._written(node.outputs[0]) if reads else None
        return Follower(str(node.name), node.op_type, reads, writes) if writes else None

    def _written(self, value: ir.Value) -> str | None:
        """Behind a clipping node too: both become one integer kernel."""
        readers = list(value.consumers())
        if len(readers) == 1 and readers[0].op_type in CLIPPING:
            value = readers[0].outputs[0]
        return str(value.name) if value.name in self.restored.values() else None

    def _quantized(self, values: Iterable[ir.Value]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.restored[value] for value in values if value in self.restored))

    def _is_in_both(self, value: ir.Value) -> bool:
        return str(value.name) in self._after and self._is_in(value)

    def _is_in(self, value: ir.Value) -> bool:
        """Whether it is a tensor of the graph before that varies: what brings weights into shape does not."""
        return self._before.get(str(value.name)) is value
