"""Each node against what the machine could do: the roofline model; light.

A node can be no faster than its operations at the peak of their type, and no faster than its bytes can be had. What
another node just made is had from the smallest cache that holds all of the node's data; weights, which were last read a
whole call ago, from the smallest one that holds the weights of all nodes. The slower of the two is the roof above it.
Data that others pushed out of its cache makes a node slower than its roof; where the weights are little larger than a
cache, which then keeps some of them, it may be somewhat faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from enxuto.report import Node, OperatorType
from enxuto.steps import NodeProfile, Peaks

Bound = Literal["compute", "memory"]
_TELLING = 0.25
"""Of what recording a node takes: shorter nodes were found as a difference of two numbers much larger than they are."""


@dataclass(frozen=True)
class _Call:
    """All nodes together."""

    total_ms: float
    weight_bytes: int
    shortest_ms: float
    """From which on a time says how fast a node was."""


def place(
    nodes: Sequence[NodeProfile], groups: Sequence[str], peaks: Peaks | None, recording_us: float = 0.0
) -> list[Node]:
    """Put nodes under the roof; ``peaks`` are None where they are of another number of threads."""
    call = _Call(
        total_ms=sum(node.ms for node in nodes),
        weight_bytes=sum(node.weight_bytes or 0 for node in nodes),
        shortest_ms=_TELLING * recording_us / 1000,
    )
    return [_placed(node, group, call, peaks) for node, group in zip(nodes, groups, strict=True)]


def operator_types(nodes: Sequence[Node]) -> list[OperatorType]:
    """One row for each type, slowest first."""
    types = {
        op_type: [node for node in nodes if node.op_type == op_type]
        for op_type in dict.fromkeys(node.op_type for node in nodes)
    }
    return sorted((_summed(op_type, these) for op_type, these in types.items()), key=lambda row: -row.ms)


def bandwidth_gb_s(peaks: Peaks, moved_bytes: int) -> float:
    """Of the smallest cache that holds this much, or of the memory."""
    fitting = (each.gb_s for each in peaks.cached if each.size_bytes >= moved_bytes)
    return next(fitting, peaks.bandwidth_gb_s)


def share_of_peak(nodes: Sequence[Node]) -> float | None:
    """Weighted by time, over those for which it is known."""
    known = [(node.of_peak, node.ms) for node in nodes if node.of_peak is not None]
    total_ms = sum(ms for _, ms in known)
    return sum(of_peak * ms for of_peak, ms in known) / total_ms if total_ms else None


def _placed(node: NodeProfile, group: str, call: _Call, peaks: Peaks | None) -> Node:
    bound, roof_ms = _roof(node, call, peaks) if peaks else (None, None)
    operations, moved = node.operations, node.moved_bytes
    timed_ms = node.ms if node.ms > call.shortest_ms else None
    return Node(
        name=node.name,
        op_type=node.op_type,
        origin=node.origin,
        group=group,
        ms=node.ms,
        share=node.ms / call.total_ms if call.total_ms else 0.0,
        output_bytes=node.output_bytes,
        moved_bytes=moved,
        operations=operations,
        intensity=operations / moved if operations is not None and moved else None,
        gops=operations / timed_ms / 1e6 if operations is not None and timed_ms else None,
        gb_s=moved / timed_ms / 1e6 if moved is not None and timed_ms else None,
        bound=bound,
        of_peak=roof_ms / timed_ms if roof_ms is not None and timed_ms else None,
        integer=node.precision == "int8",
    )


def _roof(node: NodeProfile, call: _Call, peaks: Peaks) -> tuple[Bound | None, float | None]:
    """Which part lies above a node, and the time that it would take there."""
    if node.operations is None or not node.moved_bytes:
        return None, None
    compute_ms = _compute_ms(node.operations, node.precision, peaks)
    if compute_ms is None:
        return None, None
    memory_ms = _memory_ms(node.moved_bytes, node.weight_bytes or 0, call, peaks)
    return ("compute" if compute_ms > memory_ms else "memory"), max(compute_ms, memory_ms)


def _memory_ms(moved_bytes: int, weight_bytes: int, call: _Call, peaks: Peaks) -> float:
    made = (moved_bytes - weight_bytes) / bandwidth_gb_s(peaks, moved_bytes)
    kept = weight_bytes / bandwidth_gb_s(peaks, max(moved_bytes, call.weight_bytes))
    return (made + kept) / 1e6


def _compute_ms(operations: int, precision: str | None, peaks: Peaks) -> float | None:
    """None for types whose peak is not measured, such as bfloat16."""
    if not operations:
        return 0.0
    per_s = {"float32": peaks.fp32_gflops, "int8": peaks.int8_gops}.get(precision or "")
    return operations / per_s / 1e6 if per_s else None


def _summed(op_type: str, nodes: Sequence[Node]) -> OperatorType:
    outputs = [node.output_bytes for node in nodes]
    operations = [node.operations for node in nodes]
    return OperatorType(
        op_type=op_type,
        count=len(nodes),
        ms=sum(node.ms for node in nodes),
        share=sum(node.share for node in nodes),
        output_bytes=_sum(outputs),
        operations=_sum(operations),
        of_peak=share_of_peak(nodes),
    )


def _sum(numbers: Sequence[int | None]) -> int | None:
    """None where one of them is not known: a part would be taken for the whole."""
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None
