"""Which operators made a candidate slower: those that take longer than what they stand for in the original."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from enxuto.judge.node_groups import HELPERS, family, group_nodes
from enxuto.report import SlowerOperator
from enxuto.steps import ModelProfile, NodeProfile

_LEAST_US = 1.0
_LEAST_SHARE = 0.02
"""Of the original's call: what rises by less is noise, or hardly worth a line."""
_UNLIKE = 0.25
"""Of the original's call: where the times that nodes leave untold differ by more, a record missed some of one model."""
_MOST = 10
_CONVERSIONS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast", "Convert"})


def slower_operators(before: ModelProfile, after: ModelProfile) -> list[SlowerOperator]:
    """The worst first, at most 10, from profiles under the same runtime and workload.

    Layers that can be told apart are named; what only converts or moves data stands together by its type, and so does
    what the original has nothing of. None are named where one of the profiles accounts for less of its calls than the
    other: OpenVINO's records of the same network held a fifth of a call in one process and nine tenths in another.
    """
    if abs(_untold_ms(before) - _untold_ms(after)) > _UNLIKE * before.call_ms:
        return []
    names = group_nodes(before.nodes, after.nodes)
    known = {name for name, node in zip(names[0], before.nodes, strict=True) if node.op_type not in HELPERS}
    first, second = (
        _sums(nodes, found, known) for nodes, found in zip((before.nodes, after.nodes), names, strict=True)
    )
    least = max(_LEAST_US, _LEAST_SHARE * 1000 * before.call_ms)
    rows = [
        SlowerOperator(name=name, operator=operator, before_us=first.get((name, operator), 0.0), after_us=us)
        for (name, operator), us in second.items()
    ]
    risen = [row for row in rows if row.after_us - row.before_us >= least]
    return sorted(risen, key=lambda row: (row.before_us - row.after_us, row.name))[:_MOST]


def _untold_ms(profile: ModelProfile) -> float:
    return profile.call_ms - sum(node.ms for node in profile.nodes)


def _sums(nodes: Sequence[NodeProfile], names: Sequence[str], known: set[str]) -> dict[tuple[str, str], float]:
    """Microseconds by name and operator; conversions of numbers are one."""
    operators: dict[str, str] = {}
    slowest: dict[str, float] = {}
    for node, name in zip(nodes, names, strict=True):
        if name in known and node.ms >= slowest.get(name, 0.0):
            operators[name], slowest[name] = family(node.op_type), node.ms
    found: dict[tuple[str, str], float] = defaultdict(float)
    for node, name in zip(nodes, names, strict=True):
        found[_key(node, name, operators)] += 1000 * node.ms
    return dict(found)


def _key(node: NodeProfile, name: str, operators: dict[str, str]) -> tuple[str, str]:
    if node.op_type in _CONVERSIONS:
        return "QuantizeLinear/DequantizeLinear", "conversion"
    if name in operators:
        return name, operators[name]
    return family(node.op_type), family(node.op_type)
