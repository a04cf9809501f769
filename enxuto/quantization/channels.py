"""Tensors that share their channels: what scales a channel of one must scale it in all, at both ends.

A convolution or matrix product writes channels and reads channels; between them, activations that let a positive factor
pass, sums and pools keep channels apart and in order. A set of tensors joined that way can be scaled channel by channel
without changing what the model computes: its writers are scaled up, its readers scaled down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from enxuto.graph.fusion.match import number
from enxuto.graph.weights import in_default_domain, input_of, is_constant
from enxuto.quantization.linear import Linear

_HOMOGENEOUS = frozenset({"Relu", "LeakyRelu", "Identity", "MaxPool", "AveragePool", "GlobalAveragePool"})


@dataclass
class Shared:
    """A set of tensors with the same channels."""

    tensors: list[ir.Value] = field(default_factory=list)
    writers: list[Linear] = field(default_factory=list)
    readers: list[Linear] = field(default_factory=list)
    slopes: list[ir.Node] = field(default_factory=list)
    clips: list[ir.Node] = field(default_factory=list)
    """Clips at zero and at an upper bound, which lets no factor pass."""

    @property
    def channels(self) -> int:
        return self.writers[0].channels


def shared_channels(graph: ir.Graph, linears: Sequence[Linear]) -> list[Shared]:
    """All sets that can be scaled, in the order of the graph; a set that anything else touches is left out."""
    by_node = {one.node: one for one in linears if one.node.op_type in ("Conv", "Gemm") and _plain(one)}
    sets = _Sets()
    for node in graph:
        sets.add(node, by_node)
    for value in (*graph.inputs, *graph.outputs):
        sets.block(value)
    return [one for one in sets.free() if one.writers and one.readers and _agree(one)]


def reads_channel(linear: Linear) -> np.ndarray:
    """The weight with its input channels last but for taps: (groups, outputs of a group, inputs of a group, taps)."""
    weight = np.moveaxis(linear.weight, linear.channel_axis, 0)
    groups = groups_of(linear)
    return weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)


def groups_of(linear: Linear) -> int:
    attribute = linear.node.attributes.get("group")
    return 1 if attribute is None else attribute.as_int()


def inputs_of(linear: Linear) -> int:
    """How many input channels it reads."""
    return int(linear.weight.shape[1 - linear.channel_axis]) * groups_of(linear)


def scaled(
    linear: Linear, outputs: np.ndarray | None, inputs: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Weight and bias with output channels multiplied and input channels divided by these factors."""
    weight = reads_channel(linear).astype(np.float64)
    groups, each = weight.shape[:2]
    if outputs is not None:
        weight = weight * outputs.reshape(groups, each, 1, 1)
    if inputs is not None:
        weight = weight / inputs.reshape(groups, 1, weight.shape[2], 1)
    shape = np.moveaxis(linear.weight, linear.channel_axis, 0).shape
    plain = np.moveaxis(weight.reshape(shape), 0, linear.channel_axis).astype(np.float32)
    bias = linear.bias if linear.bias is None or outputs is None else (linear.bias * outputs).astype(np.float32)
    return plain, bias


class _Sets:
    """Union of tensors, by what stands between them."""

    def __init__(self) -> None:
        self._parent: dict[ir.Value, ir.Value] = {}
        self._blocked: set[ir.Value] = set()
        self._roles: list[tuple[ir.Value, str, Linear | ir.Node]] = []
        self._ranks: dict[ir.Value, int] = {}

    def add(self, node: ir.Node, linears: dict[ir.Node, Linear]) -> None:
        linear = linears.get(node)
        if linear is not None:
            self._note(node.inputs[0], "readers", linear)
            self._note(node.outputs[0], "writers", linear)
            self._ranks[node.outputs[0]] = linear.weight.ndim
            return
        touched = [value for value in (*node.inputs, *node.outputs) if value is not None and not is_constant(value)]
        if (in_default_domain(node) and (node.op_type in _HOMOGENEOUS or _is_flatten(node) or _is_sum(node))) or (
            in_default_domain(node) and node.op_type == "PRelu" and is_constant(node.inputs[1])
        ):
            self._pass_on(node, touched)
        elif in_default_domain(node) and node.op_type == "Clip" and _bounds(node)[0] == 0:
            self._pass_on(node, touched)
            if _bounds(node)[1] < np.inf:
                self._note(node.outputs[0], "clips", node)
        else:
            for value in touched:
                self.block(value)
        if any(
            attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
            for attribute in node.attributes.values()
        ):
            for graph in node.attributes.values():
                _block_outer(self, graph)

    def block(self, value: ir.Value) -> None:
        self._blocked.add(value)

    def free(self) -> list[Shared]:
        blocked = {self._root(value) for value in self._blocked}
        found: dict[ir.Value, Shared] = {}
        for value in self._parent:
            found.setdefault(self._root(value), Shared()).tensors.append(value)
        for value, role, who in self._roles:
            getattr(found[self._root(value)], role).append(who)
        return [one for root, one in found.items() if root not in blocked]

    def _pass_on(self, node: ir.Node, touched: Sequence[ir.Value]) -> None:
        """Tensors of one rank have their channels on one axis; a sum of others counts axes from the end."""
        self._join(touched)
        ranks = {self._ranks.get(value) for value in touched if value not in node.outputs}
        rank = ranks.pop() if len(ranks) == 1 else None
        if rank is None:
            self.block(touched[0])
            return
        self._ranks.update(dict.fromkeys(node.outputs, 2 if node.op_type == "Flatten" else rank))

    def _note(self, value: ir.Value | None, role: str, who: Linear | ir.Node) -> None:
        if value is not None:
            self._parent.setdefault(value, value)
            self._roles.append((value, role, who))

    def _join(self, values: Sequence[ir.Value]) -> None:
        for value in values:
            self._parent.setdefault(value, value)
            self._parent[self._root(value)] = self._root(values[0])

    def _root(self, value: ir.Value) -> ir.Value:
        way = []
        while (parent := self._parent.get(value, value)) is not value:
            way.append(value)
            value = parent
        self._parent.update(dict.fromkeys(way, value))  # else a long chain of sums takes its square in steps
        return value


def _block_outer(sets: _Sets, attribute: ir.Attr) -> None:
    graphs = attribute.as_graphs() if attribute.type == ir.AttributeType.GRAPHS else []
    if attribute.type == ir.AttributeType.GRAPH:
        graphs = [attribute.as_graph()]
    for graph in graphs:
        for node in graph.all_nodes():
            for value in node.inputs:
                if value is not None:
                    sets.block(value)


def _plain(linear: Linear) -> bool:
    """Whether its output's channels lie on axis 1 as its weight counts them."""
    return linear.node.op_type == "Conv" or linear.weight.ndim == 2


def _agree(shared: Shared) -> bool:
    counts = {one.channels for one in shared.writers} | {inputs_of(one) for one in shared.readers}
    return len(counts) == 1


def _is_sum(node: ir.Node) -> bool:
    return node.op_type == "Add" and not any(is_constant(value) for value in node.inputs)


def _is_flatten(node: ir.Node) -> bool:
    """Only right behind a global pool, where it drops axes of length one."""
    producer = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    return node.op_type == "Flatten" and producer is not None and producer.op_type == "GlobalAveragePool"


def _bounds(node: ir.Node) -> tuple[float, float]:
    found = []
    for position, (name, default) in enumerate((("min", -np.inf), ("max", np.inf)), 1):
        value = input_of(node, position)
        if value is None:
            attribute = node.attributes.get(name)
            found.append(default if attribute is None else attribute.as_float())
        else:
            bound = number(value)
            found.append(np.nan if bound is None else bound)
    return found[0], found[1]
