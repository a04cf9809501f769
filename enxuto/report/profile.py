"""The report of a ``profile`` job."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enxuto.report.common import ModelRef, RunReport
from enxuto.request import ProfileOptions
from enxuto.schema import Digest, Value
from enxuto.settings import RunSettings
from enxuto.steps import MemoryUse, Peaks


class Node(Value):
    """One node as it ran, against what the machine could do."""

    name: str
    op_type: str
    origin: list[str]
    group: str
    """What it is matched by with nodes of the model beside it."""
    ms: float
    share: float
    """Of the time of all nodes."""
    output_bytes: int | None
    moved_bytes: int | None
    operations: int | None
    intensity: float | None
    """Operations a byte moved."""
    gops: float | None
    """Achieved: 10^9 operations a second."""
    gb_s: float | None
    """Achieved: 10^9 bytes a second."""
    bound: Literal["compute", "memory"] | None
    """Which part of the roof lies above it; null where its operations or the roof for their type are not known."""
    of_peak: float | None
    """Share of that roof which it reaches; little above 1 where it was measured better than the peak. Where the memory
    is the roof, what other nodes made is taken at the bandwidth of the cache which the node's data fits into, and
    weights at that of the cache which the weights of all nodes fit into. Null for nodes that take a fraction of what
    recording them takes, as what they achieve is then."""
    integer: bool
    """Whether it multiplies 8-bit integers."""


class OperatorType(Value):
    """All nodes of one type."""

    op_type: str
    count: int
    ms: float
    share: float
    output_bytes: int | None
    operations: int | None
    of_peak: float | None
    """Weighted by time, over those for which it is known."""


class ProfiledModel(Value):
    """Where the time of one model's calls goes."""

    model: ModelRef
    model_name: str
    settings: RunSettings
    call_ms: float
    """Median time of a call while nothing is recorded."""
    recorded_ms: float
    """The same while nodes are timed."""
    nodes_ms: float
    """Sum over nodes; the rest of ``recorded_ms`` is the runtime's own."""
    calls: int
    recording_us: float = 0.0
    """What recording adds to each node; taken off."""
    nodes: list[Node]
    """In the order in which they run."""
    operators: list[OperatorType]
    """Slowest first."""
    memory: MemoryUse | None
    raw: Digest
    """What the runtime recorded."""


class MatchedGroup(Value):
    """Nodes of both models that do the same work."""

    group: str
    ms: float | None
    """Of the model; null where it has no such nodes."""
    against_ms: float | None
    speedup: float | None
    """``against_ms`` over ``ms``, where both have it."""
    op_types: list[str]
    against_op_types: list[str]


class ProfileReport(RunReport):
    kind: Literal["profile"] = "profile"
    request: ProfileOptions
    why: str
    """Where the time goes, in a sentence or two."""
    profile: ProfiledModel
    against: ProfiledModel | None
    groups: list[MatchedGroup] = Field(default_factory=list)
    """Largest difference first; empty where there is one model only."""
    peaks: Peaks
    peaks_measured_before: bool
    """Whether the peaks are from an earlier job on the same kind of machine."""
