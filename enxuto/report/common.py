"""What every report holds, and what is measured of one model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enxuto.machine import Machine
from enxuto.metric import Metric
from enxuto.preprocessing import Preprocessing
from enxuto.schema import Digest, Value
from enxuto.signature import ModelInspection
from enxuto.steps import Drop, Estimate, Fidelity, Histogram, HostNoise, MemoryUse
from enxuto.workload import Workload

Verdict = Literal["improved", "no_gain", "regressed", "inconclusive"]


class ModelRef(Value):
    """A model file that the report speaks of."""

    sha256: Digest
    size_bytes: int
    id: str | None = None
    """On a server: the model's id, where it was kept."""


class Latency(Value):
    """Wall time of one call, over several fresh loads."""

    p50_ms: float
    p95_ms: float | None
    """Null below 200 calls."""
    p99_ms: float | None
    """Null below 1,000 calls."""
    cpu_ms: float
    """Process CPU time a call, median over loads."""
    throughput: float
    """Samples a second: batch size over the median."""
    calls: int
    loads: int
    raw: list[Digest]
    """Blobs with every call's time, one a load."""
    histogram: Histogram
    """Of the calls of all loads."""
    block_medians_ms: list[list[float]]
    """The time series: median of each block in the order of time, one list a load; disturbed rounds included."""


class Measurements(Value):
    """What was seen of one model on one split; null where it was not measured."""

    metric: float | None = None
    samples: int = 0
    drop: Drop | None = None
    fidelity: Fidelity | None = None
    latency: Latency | None = None
    speedup: Estimate | None = None
    """Baseline's time over this model's, interval by the bootstrap over fresh loads."""
    load_ratios: list[float] = Field(default_factory=list)
    """The speedup of each fresh load, which the interval rests on."""
    cpu_speedup: Estimate | None = None
    """The same of process CPU time."""
    memory_bytes: int | None = None
    """Peak resident memory of a fresh process that ran the model."""
    memory: MemoryUse | None = None
    """What it went to."""


class Replay(Value):
    """What it takes to do it again."""

    model: Digest
    datasets: dict[str, Digest]
    """By role."""
    seed: int
    enxuto: str
    """Version of Enxuto."""


class RunReport(Value):
    """What every report says of the model and the conditions."""

    model: ModelRef
    model_name: str
    inspection: ModelInspection
    preprocessing: Preprocessing
    workload: Workload
    machine: Machine
    noise: list[HostNoise]
    """Of each fresh process that was timed."""
    replay: Replay
    elapsed_s: float


class JudgedReport(RunReport):
    """What every report says that judges one model against another."""

    metric: Metric | None
    """As resolved; null where there was no data."""
    metric_name: str
    margin: float
    """Two times closer than this share of each other count as equal."""
