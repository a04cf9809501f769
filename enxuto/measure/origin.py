"""Which of the file's nodes a runtime's node was made of.

A runtime fuses nodes, and names what comes of it after one of them or after a tensor between them. From there the rest
is found: backward to what the fused node reads, where that is still called as in the file, and then whatever belongs
to nobody goes to the node before it (an activation, a sum, a quantization) or, if it only prepares, to the one after.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from onnx import GraphProto, ModelProto, NodeProto

from enxuto.runtimes.recording import RanNode

_ADDED = re.compile(r"(_nchwc|_token_\d+|/WithoutBiases|/\w+Fusion/?|/fc)$")
"""What runtimes put behind a name."""
_BLOCKED = ("nchwc.Conv",)
_SUMMAND = 3
"""Position of the input that a convolution in blocked layout adds to its output."""
HELPERS = frozenset(
    {"ReorderInput", "ReorderOutput", "Reorder", "Transpose", "QuantizeLinear", "DequantizeLinear", "Cast"}
)
"""Runtimes put them between nodes: they stand for a node of the file only where that does the same."""
_DRAWS = frozenset({"RandomNormal", "RandomUniform"})
_ENDS = frozenset({"QuantizeLinear"})
"""Belongs to what was computed before it, never to what comes after."""
_PREPARES = frozenset({"DequantizeLinear", "Cast", "Identity", "Reshape", "Unsqueeze", "Transpose", "Constant"})


class FileGraph:
    """The nodes of a file that depend on its inputs, by name and by what they make; subgraphs are left out.

    What is the same in every call is computed once, while the model is loaded, by all but the lowest graph level.
    """

    def __init__(self, model: ModelProto) -> None:
        self._nodes = {node.name: node for node in _depending_on_inputs(model.graph)}
        self._maker = {output: node.name for node in self._nodes.values() for output in node.output if output}
        self._order = {name: position for position, name in enumerate(self._nodes)}
        self._readers: dict[str, list[str]] = {}
        for node in self._nodes.values():
            for tensor in node.input:
                self._readers.setdefault(tensor, []).append(node.name)

    def origins(self, ran: Sequence[RanNode]) -> list[list[str]]:
        """Of each of the runtime's nodes, in the order of the file; empty where nothing can be told."""
        owner: dict[str, int] = {}
        for position, node in enumerate(ran):
            for name in self._named_by(node):
                owner.setdefault(name, position)
        for position, node in enumerate(ran):
            if node.op_type in _BLOCKED:
                self._claim_fused_into(position, node, owner)
        for position, node in enumerate(ran):
            self._claim_backward(position, node, owner)
        self._claim_the_rest(owner)
        origins: list[list[str]] = [[] for _ in ran]
        for name in self._nodes:
            if name in owner:
                origins[owner[name]].append(name)
        return origins

    def last_tensor(self, origin: Sequence[str]) -> str | None:
        """What the last of these nodes makes."""
        return next((output for output in self._nodes[origin[-1]].output if output), None) if origin else None

    def _named_by(self, node: RanNode) -> Iterator[str]:
        for name in (*node.sources, *(tensor.name for tensor in node.outputs if tensor)):
            for known in (name, _bare(name)):
                known = known if known in self._nodes else self._maker.get(known, "")
                if known and (node.op_type not in HELPERS or self._nodes[known].op_type == node.op_type):
                    yield known

    def _claim_fused_into(self, position: int, node: RanNode, owner: dict[str, int]) -> None:
        """What follows a convolution in blocked layout: its outputs have names of their own."""
        last = next((name for name in reversed(self._nodes) if owner.get(name) == position), None)
        if last and self._nodes[last].op_type == "Conv" and len(node.inputs) > _SUMMAND:
            last = self._claim_reader(last, position, owner)
        if last and self._nodes[last].op_type in ("Conv", "Add", "Sum") and "activation" in node.attributes:
            self._claim_reader(last, position, owner)

    def _claim_reader(self, name: str, position: int, owner: dict[str, int]) -> str | None:
        readers = [each for output in self._nodes[name].output for each in self._readers.get(output, [])]
        if len(readers) != 1 or owner.setdefault(readers[0], position) != position:
            return None
        return readers[0]

    def _claim_backward(self, position: int, node: RanNode, owner: dict[str, int]) -> None:
        """Everything between what the node reads, or what belongs to another, and what it was named after."""
        reads = {tensor.name for tensor in node.inputs if tensor}
        waiting = [name for name in self._nodes if owner.get(name) == position] if node.op_type not in HELPERS else []
        while waiting:
            for tensor in self._nodes[waiting.pop()].input:
                name = self._maker.get(tensor)
                if name and tensor not in reads and name not in owner and self._nodes[name].op_type not in _ENDS:
                    owner[name] = position
                    waiting.append(name)

    def _claim_the_rest(self, owner: dict[str, int]) -> None:
        rest = [node for node in self._nodes.values() if node.name not in owner]
        for node in rest:
            if node.op_type not in _PREPARES and (before := self._before(node, owner)) is not None:
                owner[node.name] = before
        for node in reversed(rest):
            if node.name not in owner and (after := self._after(node, owner)) is not None:
                owner[node.name] = after

    def _before(self, node: NodeProto, owner: Mapping[str, int]) -> int | None:
        """Owner of the latest node that it reads from: a sum belongs to the branch that was just computed."""
        makers = [self._maker[tensor] for tensor in node.input if tensor in self._maker]
        owned = [name for name in makers if name in owner]
        return owner[max(owned, key=self._order.__getitem__)] if owned else None

    def _after(self, node: NodeProto, owner: Mapping[str, int]) -> int | None:
        """Owner of its readers, where they have one only."""
        readers = [name for output in node.output for name in self._readers.get(output, [])]
        owners = {owner.get(name) for name in readers}
        return owners.pop() if len(owners) == 1 else None


def _depending_on_inputs(graph: GraphProto) -> Iterator[NodeProto]:
    """Nodes with graphs inside are taken to: they may read what is around them."""
    fixed = {weight.name for weight in graph.initializer} | {""}
    for node in graph.node:
        is_fixed = node.op_type not in _DRAWS and all(tensor in fixed for tensor in node.input)
        if is_fixed and not any(attribute.HasField("g") for attribute in node.attribute):
            fixed.update(node.output)
        else:
            yield node


def _bare(name: str) -> str:
    while (shorter := _ADDED.sub("", name)) != name:
        name = shorter
    return name
