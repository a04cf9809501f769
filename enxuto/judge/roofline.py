"""Each node against what the machine could do: the roofline model; light.

A node can be no faster than its operations at the peak of their type, and no faster than its bytes at the bandwidth of
the smallest cache that holds all of them. The slower of the two is the roof above it. Data that is not in that cache
when the node begins makes it slower than the roof, never faster: a low share may mean that others' data pushed it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from enxuto.report import Node, OperatorType
from enxuto.steps import NodeProfile, Peaks

Bound = Literal["compute", "memory"]


def place(nodes: Sequence[NodeProfile], groups: Sequence[str], peaks: Peaks | None) -> list[Node]:
    """Put nodes under the roof; ``peaks`` are None where they are of another number of threads."""
    total_ms = sum(node.ms for node in nodes)
    return [_placed(node, group, total_ms, peaks) for node, group in zip(nodes, groups, strict=True)]


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


def _placed(node: NodeProfile, group: str, total_ms: float, peaks: Peaks | None) -> Node:
    bound, of_peak = _roof(node, peaks) if peaks else (None, None)
    operations, moved, ms = node.operations, node.moved_bytes, node.ms
    return Node(
        name=node.name,
        op_type=node.op_type,
        origin=node.origin,
        group=group,
        ms=ms,
        share=ms / total_ms if total_ms else 0.0,
        output_bytes=node.output_bytes,
        moved_bytes=moved,
        operations=operations,
        intensity=operations / moved if operations is not None and moved else None,
        gops=operations / ms / 1e6 if operations is not None and ms else None,
        gb_s=moved / ms / 1e6 if moved is not None and ms else None,
        bound=bound,
        of_peak=of_peak,
        integer=node.precision == "int8",
    )


def _roof(node: NodeProfile, peaks: Peaks) -> tuple[Bound | None, float | None]:
    """Which part lies above a node, and its share of it: the time at the roof over the time that it took."""
    if node.operations is None or not node.moved_bytes or not node.ms:
        return None, None
    compute_ms = _compute_ms(node.operations, node.precision, peaks)
    if compute_ms is None:
        return None, None
    memory_ms = node.moved_bytes / bandwidth_gb_s(peaks, node.moved_bytes) / 1e6
    return ("compute" if compute_ms > memory_ms else "memory"), max(compute_ms, memory_ms) / node.ms


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
