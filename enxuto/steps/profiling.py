"""Steps that find where the time of a call goes, and what the machine could do."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enxuto.preprocessing import Preprocessing
from enxuto.schema import Value
from enxuto.steps.common import HostNoise, Samples, Subject
from enxuto.workload import Workload


class MeasurePeaks(Value):
    """Measure what this machine can do at most: the roof of a roofline (Williams, Waterman, Patterson 2009)."""

    kind: Literal["measure_peaks"] = "measure_peaks"
    threads: int = Field(ge=1, le=1024)


class Bandwidth(Value):
    """What arrays of this size together can be read and written at, again and again."""

    size_bytes: int
    gb_s: float


class Peaks(Value):
    """The best of several runs; a multiplication and an addition count as two operations."""

    threads: int
    fp32_gflops: float
    """Of matrix products in FP32."""
    int8_gops: float
    """Of matrix products of unsigned by signed 8-bit integers."""
    bandwidth_gb_s: float
    """10^9 bytes a second, read and written, of arrays far larger than the caches."""
    cached: list[Bandwidth] = Field(default_factory=list)
    """The same of arrays that fit into a cache, smallest first: a node whose data does is not held up by the memory."""
    noise: HostNoise


class ProfileModel(Value):
    """Time every node of a model as the runtime runs it, after its own fusions."""

    kind: Literal["profile_model"] = "profile_model"
    subject: Subject
    workload: Workload
    samples: Samples | None
    preprocessing: Preprocessing
    seed: int
    duration_s: float = Field(2.0, gt=0)


class NodeProfile(Value):
    """One node as the runtime ran it."""

    name: str
    op_type: str
    """As the runtime calls it: fused nodes have names of their own."""
    origin: list[str]
    """Names of the file's nodes that it was made of, as far as can be told; a node without one goes by its first
    output."""
    tensor: str | None
    """Name in the file of what the last of them makes."""
    ms: float
    """Median time in one call, without what nodes inside it take and without ``recording_us``. OpenVINO tells a mean
    only, and nothing of nodes that take less than a microsecond."""
    output_bytes: int | None
    moved_bytes: int | None
    """Inputs, weights and outputs, each once: the least that must move. Null where a shape cannot be told."""
    weight_bytes: int | None
    """Of those, what is the same in every call."""
    operations: int | None
    """Multiplications and additions; null for operators whose count is not known."""
    precision: str | None
    """What it multiplies in, such as float32 or int8; null where it multiplies nothing or that cannot be told."""


class ModelProfile(Value):
    call_ms: float
    """Median time of a call while nothing is recorded."""
    recorded_ms: float
    """The same while nodes are timed: what exceeds ``call_ms`` is the recording's."""
    calls: int
    recording_us: float = 0.0
    """What recording adds to the time of each node, so that they together exceed a call that is not recorded. It was
    taken off, which the runtime's own record does not do."""
    nodes: list[NodeProfile]
    """In the order in which they run."""
    noise: HostNoise
    profile_file: str
    """What the runtime recorded, as JSON."""
