"""Matches the nodes of two profiles by the work they do; light.

Runtimes fuse the same file differently, and a quantized copy differently again: one node here is three there. Nodes
that were made of the same node of the file belong together, and so does what is linked through them. What is left is
matched by what it computes and the tensor that it makes, and what a runtime made and numbered itself by its order where
there are as many in both. Nodes that only move or convert data for the runtime's own
sake form one group for each type, so that the groups together are all of the time.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from enxuto.report import MatchedGroup, Node
from enxuto.steps import NodeProfile

_COPIED_NAME = re.compile(r"(_quant|_quantized|_QuantizeLinear|_DequantizeLinear)$")
"""What quantizers put behind the name of a node that they replace."""
_COPIED_TENSOR = re.compile(r"(_u?int8|_quantized|_real|_QuantizeLinear_Output|_DequantizeLinear_Output)$")
_CONVERTS = re.compile(r"(Q|Deq)uantizeLinear")
"""Quantizers number these: the same name in two files says nothing."""
_NUMBERED = re.compile(r"_[0-9]+$")
HELPERS = frozenset(
    {"ReorderInput", "ReorderOutput", "Reorder", "Transpose", "QuantizeLinear", "DequantizeLinear",
     "DynamicQuantizeLinear", "Cast", "Convert", "MemcpyFromHost", "MemcpyToHost"}
)  # fmt: skip
"""They change how data lies or what type it is, and compute nothing that was asked for."""
_FAMILIES = (
    ("ConvTranspose", "ConvTranspose"), ("Conv", "Conv"), ("MatMul", "MatMul"), ("Gemm", "MatMul"),
    ("FullyConnected", "MatMul"), ("Attention", "Attention"), ("LSTM", "LSTM"), ("GRU", "GRU"),
)  # fmt: skip

_Place = tuple[int, int]
"""Which of the two, and which of its nodes."""


def family(op_type: str) -> str:
    """What it computes, however a runtime calls it: QLinearConv, nchwc.Conv and FusedConv are one."""
    short = op_type.removeprefix("nchwc.").removeprefix("QLinear")
    return next((name for part, name in _FAMILIES if part in op_type), short)


def group_nodes(nodes: Sequence[NodeProfile], against: Sequence[NodeProfile]) -> tuple[list[str], list[str]]:
    """Name of each node's group."""
    both = (nodes, against)
    links = _Links((side, position) for side in (0, 1) for position in range(len(both[side])))
    _link(links, both, _names)
    _link(links, both, _tensor, among=_alone(links))
    _link_numbered(links, both, _alone(links))
    groups: list[list[str]] = [[""] * len(nodes), [""] * len(against)]
    for members in links.groups():
        name = _called([both[side][position] for side, position in members])
        for side, position in members:
            groups[side][position] = name
    return groups[0], groups[1]


def matched(nodes: Sequence[Node], against: Sequence[Node]) -> list[MatchedGroup]:
    """Largest difference first."""
    names = dict.fromkeys(node.group for node in (*nodes, *against))
    rows = [_row(name, *([node for node in side if node.group == name] for side in (nodes, against))) for name in names]
    return sorted(rows, key=lambda row: -abs((row.ms or 0.0) - (row.against_ms or 0.0)))


class _Links:
    """Places that belong together, directly or through others."""

    def __init__(self, places: Iterable[_Place]) -> None:
        self._parent = {place: place for place in places}

    def join(self, places: Sequence[_Place]) -> None:
        for place in places[1:]:
            self._parent[self._root(place)] = self._root(places[0])

    def groups(self) -> list[list[_Place]]:
        found: dict[_Place, list[_Place]] = defaultdict(list)
        for place in self._parent:
            found[self._root(place)].append(place)
        return list(found.values())

    def _root(self, place: _Place) -> _Place:
        while self._parent[place] != place:
            place = self._parent[place]
        return place


def _link(
    links: _Links,
    both: tuple[Sequence[NodeProfile], Sequence[NodeProfile]],
    keys_of: Callable[[NodeProfile], Iterator[str]],
    among: set[_Place] | None = None,
) -> None:
    places: dict[str, list[_Place]] = defaultdict(list)
    for side, nodes in enumerate(both):
        for position, node in enumerate(nodes):
            if among is None or (side, position) in among:
                for key in keys_of(node):
                    places[key].append((side, position))
    for found in places.values():
        if len({side for side, _ in found}) == 2:
            links.join(found)


def _alone(links: _Links) -> set[_Place]:
    """What has no counterpart on the other side yet."""
    return {place for members in links.groups() if len({side for side, _ in members}) == 1 for place in members}


def _link_numbered(
    links: _Links, both: tuple[Sequence[NodeProfile], Sequence[NodeProfile]], among: set[_Place]
) -> None:
    """OpenVINO's GRUSequence_6937 is another's GRUSequence_6787: the first of its kind in both."""
    kinds: dict[str, tuple[list[_Place], list[_Place]]] = defaultdict(lambda: ([], []))
    for side, position in sorted(among):
        node = both[side][position]
        if not node.origin and node.op_type not in HELPERS and _NUMBERED.search(node.name):
            kinds[f"{node.op_type} {_NUMBERED.sub('', node.name)}"][side].append((side, position))
    for mine, theirs in kinds.values():
        if len(mine) == len(theirs):
            for pair in zip(mine, theirs, strict=True):
                links.join(pair)


def _names(node: NodeProfile) -> Iterator[str]:
    """Of the file's nodes that it was made of, as they were called before they were quantized."""
    for name in node.origin:
        if not _CONVERTS.search(name):
            yield _COPIED_NAME.sub("", name)


def _tensor(node: NodeProfile) -> Iterator[str]:
    if node.tensor is not None and node.op_type not in HELPERS:
        yield f"{family(node.op_type)} {_COPIED_TENSOR.sub('', node.tensor)}"


def _called(members: Sequence[NodeProfile]) -> str:
    """After the file's node that did most of the work, as far as that can be told; helpers are called by their type."""
    computing = [node for node in members if node.operations]
    for node in sorted(computing, key=_slowest) + sorted(members, key=_slowest):
        names = list(_names(node))
        if names:
            return next((name for name in names if name in node.name), names[0])
    slowest = min(members, key=_slowest)
    return slowest.op_type if slowest.op_type in HELPERS else slowest.name


def _slowest(node: NodeProfile) -> float:
    return -node.ms


def _row(name: str, nodes: Sequence[Node], against: Sequence[Node]) -> MatchedGroup:
    ms = sum(node.ms for node in nodes) if nodes else None
    against_ms = sum(node.ms for node in against) if against else None
    return MatchedGroup(
        group=name,
        ms=ms,
        against_ms=against_ms,
        speedup=against_ms / ms if ms and against_ms is not None else None,
        op_types=[node.op_type for node in nodes],
        against_op_types=[node.op_type for node in against],
    )
