"""What several kinds of job hand back."""

from __future__ import annotations

from typing import Any

from enxuto.report import Measurements
from enxuto.schema import Digest, Value
from enxuto.steps import Drop, Estimate, Fidelity, MemoryUse


class LatencyResult(Value):
    """Wall time of one call, over several fresh loads; the report has the histogram and the time series."""

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
    """Files of the job with every call's time, one a load, by their SHA-256."""


class MeasurementsResult(Value):
    """What was seen of one model on one split; null where it was not measured."""

    metric: float | None
    samples: int
    drop: Drop | None
    fidelity: Fidelity | None
    latency: LatencyResult | None
    speedup: Estimate | None
    """Baseline's time over this model's, interval by the bootstrap over fresh loads."""
    cpu_speedup: Estimate | None
    """The same of process CPU time."""
    memory_bytes: int | None
    """Peak resident memory of a fresh process that ran the model."""
    memory: MemoryUse | None
    """What it went to."""


def measurements_of(seen: Measurements) -> MeasurementsResult:
    latency = seen.latency and LatencyResult(**fields_of(LatencyResult, seen.latency))
    return MeasurementsResult(**{**fields_of(MeasurementsResult, seen), "latency": latency})


def fields_of(kind: type[Value], whole: Value) -> dict[str, Any]:
    """What a smaller value takes from a larger one: the fields of the same names."""
    return {name: getattr(whole, name) for name in kind.model_fields}
