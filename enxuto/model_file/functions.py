"""Refuses functions that call themselves or unfold without end, before a runtime tries to inline them.

ONNX Runtime 1.31 does not come back from a function that calls itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from onnx import ModelProto, NodeProto

from enxuto.errors import BadInput
from enxuto.model_file.proto import subgraphs_of

_MOST_NODES = 1_000_000

Key = tuple[str, str, str]


def refuse_runaway_functions(proto: ModelProto) -> None:
    bodies = {(body.domain, body.name, body.overload): list(_all_nodes(body.node)) for body in proto.functions}
    unfolded: dict[Key, int] = {}

    def count(nodes: Iterable[NodeProto], callers: tuple[Key, ...]) -> int:
        return sum(count_call((node.domain, node.op_type, node.overload), callers) for node in nodes)

    def count_call(key: Key, callers: tuple[Key, ...]) -> int:
        if key not in bodies:
            return 1
        if key in callers or len(callers) > 100:
            raise _refusal(f"its function {key[1]} calls itself, or nests more than 100 deep")
        if key not in unfolded:
            unfolded[key] = count(bodies[key], (*callers, key))
        return unfolded[key]

    total = count(_all_nodes(proto.graph.node), ())
    if total > _MOST_NODES:
        raise _refusal(f"its functions unfold into {total} nodes; {_MOST_NODES} are the most")


def _all_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for graph in subgraphs_of(node):
            yield from _all_nodes(graph.node)


def _refusal(why: str) -> BadInput:
    return BadInput(
        f"the model cannot be unfolded: {why}.",
        code="runaway_functions",
        hint="Export the model without local functions, or inline them with onnx.inliner.",
    )
