"""The report of a ``benchmark`` job."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enxuto.report.common import RunReport
from enxuto.request import BenchmarkOptions
from enxuto.scenario import Batching
from enxuto.schema import Digest, Value
from enxuto.settings import RunSettings
from enxuto.steps import Estimate, LoadRun, ServingOption, SimulatedLoad


class Point(Value):
    """One way to run the model offline, as measured; or why it was not."""

    settings: RunSettings
    batch_size: int
    threads: int
    """Of each copy."""
    instances: int
    """Copies that ran at the same time."""
    outcome: Literal["measured", "failed", "skipped"]
    code: str = ""
    """Of the finding that it failed with."""
    reason: str = ""
    """Why it was not measured; of a measured one, what to doubt about it."""
    samples_per_s: Estimate | None = None
    """Over all copies, each with cores of its own where there are as many; the interval covers the luck of loading."""
    p50_ms: float | None = None
    """Of one call."""
    p95_ms: float | None = None
    """Null where the calls are too few."""
    cpu_cores: float | None = None
    """Process CPU time over wall time of the whole run, moments in which others had its cores included."""
    memory_bytes: int | None = None
    """Peak resident memory of the process, all copies together."""
    loads: int = 0
    raw: list[Digest] = Field(default_factory=list)
    """Blobs with every call's time, one a load."""


class Knee(Value):
    """Where larger batches stop paying, for one way to run the model."""

    settings: RunSettings
    threads: int
    instances: int
    batch_size: int
    """The smallest batch whose throughput comes within ``within`` of the highest that was seen."""
    samples_per_s: float
    highest_samples_per_s: float
    within: float
    """Share of the highest throughput."""
    detail: str
    """How it was found and why the search stopped, in a sentence."""


class LargestBatch(Value):
    """The largest batch within the memory limit, measured."""

    settings: RunSettings
    memory_mb: float
    """The limit."""
    batch_size: int | None
    """Null where not even one sample fits."""
    peak_bytes: int | None
    """At this batch size."""
    tried: dict[str, int | None]
    """Peak resident bytes by batch size; null where the model did not run."""
    detail: str


class Run(Value):
    """One load run of a scenario."""

    settings: RunSettings
    rate_per_s: float | None
    """Asked of it; null where queries come one by one."""
    outcome: Literal["measured", "failed"]
    code: str = ""
    reason: str = ""
    found: LoadRun | None = None
    holds: bool | None = None
    """Whether the asked percentile stays within its limit; null where none is asked."""
    percentile_ms: float | None = None
    """The percentile that the scenario is about."""
    raw: list[Digest] = Field(default_factory=list)


class ScenarioResult(Value):
    """What a load scenario comes to: MLPerf's figure, and whether the run was as long as MLPerf wants."""

    figure: str
    """What is reported: ``p90 latency``, ``p99 latency``, ``highest rate``, ``rate that was asked``."""
    value: float | None
    """Null where it could not be met or the sample is too small."""
    unit: Literal["ms", "queries/s"]
    valid: bool
    """Whether the run meets MLPerf's least duration and number of queries."""
    detail: str
    """What was found, and what is short of MLPerf's rules, in a sentence."""


class ServingPlan(Value):
    """How to serve a model: computed by simulation, then checked by a real load run with the same arrivals."""

    settings: RunSettings
    threads: int
    """Of each copy."""
    batching: Batching
    rate_per_s: float
    memory_bytes: int
    simulated: SimulatedLoad
    measured: LoadRun | None
    """Null where the check could not be run."""
    difference: float | None
    """Measured p95 over simulated p95, less one."""
    holds: bool | None
    """Whether the measured p95 stays within what was asked."""
    check_failed: str = ""
    raw: list[Digest] = Field(default_factory=list)


class BenchmarkReport(RunReport):
    kind: Literal["benchmark"] = "benchmark"
    request: BenchmarkOptions
    """As asked, with every default resolved."""
    why: str
    """What was found, in a sentence or two."""
    points: list[Point]
    """Of the offline scenario."""
    knees: list[Knee]
    """One for each way to run the model whose curve was searched."""
    largest_batches: list[LargestBatch]
    runs: list[Run]
    """Of the other scenarios."""
    scenario: ScenarioResult | None
    plan: ServingPlan | None
    plan_options: list[ServingOption]
    """Every way to serve that was simulated."""
    plan_why: str
    """Why this plan, or why none; empty where none was asked."""
    stopped: Literal["deadline", "cancelled"] | None = None
