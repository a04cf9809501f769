"""Steps that time models side by side."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enxuto.preprocessing import Preprocessing
from enxuto.schema import Digest, Value
from enxuto.steps.common import HostNoise, Samples, Subject
from enxuto.workload import Workload


class MeasureLatency(Value):
    """Load models side by side once and time them in blocks of random order: one load, one ratio a model.

    Repeated with another ``load`` for another fresh process: the luck of loading is what an interval must cover.
    """

    kind: Literal["measure_latency"] = "measure_latency"
    subjects: list[Subject] = Field(min_length=1, max_length=32)
    """The first one is the baseline."""
    workload: Workload
    samples: Samples | None
    """Where the inputs come from; random ones of the right shape and type where there is no data."""
    preprocessing: Preprocessing
    load: int
    """Which of the fresh loads this is; part of the seed."""
    seed: int
    block_ms: float = 10.0
    """Of each block, about; short, since who shares the core comes and goes within tenths of a second."""
    rounds: int = 30
    """Undisturbed rounds wanted, a block of each subject in each."""
    most_rounds: int = 90
    """Rounds at most, where some are disturbed."""
    budget_s: float = 3.0
    """Of all rounds: models whose calls are slow get fewer."""


class Timing(Value):
    """One subject in one load. Raw call times are in the step's file ``calls.npz``, one array a subject."""

    block_medians_ms: list[float]
    """Of every round, in the order of time."""
    calls: int
    p50_ms: float
    """Over the rounds that count, as are all that follow."""
    mean_ms: float
    cpu_ms: float
    """Process CPU time a call."""
    ratio: float
    """Median over rounds of the baseline's time over this model's, the two blocks of a round side by side."""
    cpu_ratio: float
    """The baseline's CPU time a call over this model's, all rounds together."""


class LatencyLoad(Value):
    timings: list[Timing]
    """In the order of the subjects."""
    counted: list[bool]
    """Of each round, whether it counts: those that were disturbed do not, unless too few others were left."""
    probe_us: float
    """What the probe took on the core as quiet as it was found: slower than in other loads, and somebody else was
    there all the time."""
    noise: HostNoise
    calls_file: str
    """``.npz`` with every call's wall time in nanoseconds (int64), one array a subject, named by its position, of the
    rounds that count."""


class SummarizeLatency(Value):
    """Pool the raw call times of several loads and derive percentiles, as far as their number carries them."""

    kind: Literal["summarize_latency"] = "summarize_latency"
    calls: list[Digest] = Field(min_length=1)
    """``calls.npz`` of each load; the subjects stand in the same order in all of them."""


CALLS_FOR_P95 = 200
CALLS_FOR_P99 = 1000
"""Percentiles want at least ten calls beyond them."""


class Histogram(Value):
    """How often times fell between two edges."""

    edges_ms: list[float]
    """One more than there are counts, rising."""
    counts: list[int]


class Percentiles(Value):
    """Wall time of one subject's calls, pooled over loads."""

    calls: int
    p50_ms: float
    p95_ms: float | None
    """Null below 200 calls."""
    p99_ms: float | None
    """Null below 1,000 calls."""
    histogram: Histogram


class LatencySummary(Value):
    subjects: list[Percentiles]
