"""Steps that measure how a model carries load, and plan how to serve it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from enxuto.preprocessing import Preprocessing
from enxuto.scenario import Batching, ServingGoal
from enxuto.schema import Digest, Value
from enxuto.settings import OnnxRuntimeSettings, RunSettings
from enxuto.steps.common import HostNoise, Samples, Subject
from enxuto.workload import Workload


class MeasureThroughput(Value):
    """Run copies of a model at the same time in one fresh process, each over and over: one point of a curve.

    Repeated with another ``load`` for another fresh process.
    """

    kind: Literal["measure_throughput"] = "measure_throughput"
    subject: Subject
    workload: Workload
    """Its batch size and threads are those of one copy."""
    instances: int = Field(1, ge=1, le=1024)
    """Copies, each called from a thread of its own."""
    duration_s: float = Field(0.5, gt=0)
    samples: Samples | None
    preprocessing: Preprocessing
    load: int
    seed: int


class Throughput(Value):
    """Of the calls in which each copy had a core of its own, as far as the kernel and a probe tell.

    Of all calls where the copies want more cores than there are: they wait for each other, as they would in service.
    """

    samples_per_s: float
    """Over all copies."""
    calls: int
    p50_ms: float
    """Of one call of one copy while the others run."""
    p95_ms: float | None
    """Null below 200 calls."""
    cpu_cores: float
    """Process CPU time over wall time."""
    peak_bytes: int
    """Highest resident set of the whole process."""
    runtime_bytes: int
    """Resident set just before the model was loaded."""
    probe_us: float
    """What the probe of the core took when it was quick: slower than in other loads, and somebody else was there all
    the time."""
    disturbed: bool = False
    """Whether so little of it was quiet that disturbed calls count as well."""
    noise: HostNoise
    calls_file: str
    """``.npz`` with the wall time in nanoseconds (int64) of every call that counts, one array a copy, named by its
    position."""


class OneByOne(Value):
    """The next query is sent when the last one was answered."""

    kind: Literal["one_by_one"] = "one_by_one"
    samples_per_query: int = Field(1, ge=1)


class Poisson(Value):
    """Queries of one sample each, at times drawn by chance: gaps are exponential, seeded, whoever draws them."""

    kind: Literal["poisson"] = "poisson"
    rate_per_s: float = Field(gt=0)


Arrivals = Annotated[OneByOne | Poisson, Field(discriminator="kind")]


MOST_QUERIES = 5_000_000
"""In one load run; their times are kept in memory."""


class RunLoad(Value):
    """Send queries to a model behind a dynamic batcher and time each from its arrival to its answer.

    Where they come one by one there is nothing to gather: a query is one call of one copy with all of its samples.
    """

    kind: Literal["run_load"] = "run_load"
    subject: Subject
    workload: Workload
    """Its batch size is not used: ``batching`` says how queries are gathered."""
    arrivals: Arrivals
    batching: Batching
    """Not used where queries come one by one."""
    duration_s: float = Field(gt=0)
    percentile: float = Field(99.0, ge=50, le=99.9)
    """Which percentile of the latency is asked about."""
    limit_ms: float | None = Field(None, gt=0)
    """What a query should not exceed, where something is asked of it."""
    simulated: Digest | None = None
    """``simulated.npz`` of the same queries, to compare with: ``latency_ns`` of each."""
    samples: Samples | None
    preprocessing: Preprocessing
    load: int
    seed: int


class LatencyProfile(Value):
    """Latency of queries, waiting included; a percentile is null where fewer than ten queries lie beyond it."""

    queries: int
    mean_ms: float
    p50_ms: float
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    p999_ms: float | None


class BatchCount(Value):
    size: int
    count: int
    """Calls of the model with this many samples."""


class QuietPart(Value):
    """The queries of a load run that were due while its threads had the cores that they wanted, as far as the kernel
    tells: nothing but that decides which ones they are."""

    share: float
    """Of all queries, 0 to 1."""
    p95_ms: float | None
    """Null where fewer than ten queries lie beyond it."""
    simulated_p95_ms: float | None
    """Of the same queries, where they were simulated."""
    probe_us: float | None = None
    """What the probe of the core took when it was quick: slower than in other runs, and somebody else was there all
    the time."""


class LoadRun(Value):
    latency: LatencyProfile
    """Of all queries; one that was not answered counts with the time of the whole run."""
    unanswered: int = 0
    """Queries that were given up: still waiting well after the last one was due, or never sent."""
    duration_s: float
    """From the first arrival to the last answer."""
    queries_per_s: float
    """Answered."""
    samples_per_s: float
    batches: list[BatchCount]
    mean_wait_ms: float
    """From arrival until the model was called."""
    utilization: float
    """Share of the time that an instance was running the model, 0 to 1."""
    cpu_cores: float
    """Process CPU time over wall time, load generator included."""
    peak_bytes: int
    sent_late_ms: float
    """How late the load generator sent queries, 99th percentile: what of the latency is its own."""
    noise: HostNoise
    quiet: QuietPart | None = None
    percentile_ms: float | None = None
    """The percentile that was asked about; null where fewer than ten queries lie beyond it."""
    over_limit: int | None = None
    """Queries that took longer than the limit; null where there is none."""
    latencies_file: str
    """``.npz``: ``arrival_ns``, ``sent_ns``, ``called_ns``, ``returned_ns`` and ``answered_ns`` of each query (int64),
    from the first arrival on, and whether it was ``quiet`` when it was due and called."""


class BatchCurve(Value):
    """One measured point that a plan may be made of."""

    threads: int
    instances: int
    """Copies that ran at the same time while it was measured."""
    batch_size: int
    calls: list[Digest]
    """``calls.npz`` of each fresh load."""
    peak_bytes: int


class LoadTraces(Value):
    """What calls behind a batcher were seen to take, for one way to run the copies."""

    threads: int
    instances: int
    files: list[Digest] = Field(min_length=1)
    """``latencies.npz`` of load runs without a delay: from low to high rates, so that all sizes of batches occur."""


class PlanServing(Value):
    """Find, by a queueing simulation on measured batch times, how to serve a model."""

    kind: Literal["plan_serving"] = "plan_serving"
    settings: RunSettings
    curves: list[BatchCurve] = Field(min_length=1)
    traces: list[LoadTraces] = Field(min_length=1)
    """Of every way to run the copies that a plan may take; ways without one are not considered."""
    goal: ServingGoal
    cores: int | None = None
    """Of the machine that serves; null: as many as it takes."""
    seed: int


class SimulatedLoad(Value):
    """What the queueing simulation expects of one way to serve."""

    rate_per_s: float
    latency: LatencyProfile
    utilization: float
    """Share of the time that an instance runs the model, 0 to 1."""
    batches: list[BatchCount]


class ServingOption(Value):
    """One way to serve that was simulated."""

    settings: RunSettings = Field(default_factory=OnnxRuntimeSettings)
    threads: int
    batching: Batching
    highest_rate_per_s: float
    """That holds the asked p95; 0 where none does."""
    p95_ms: float | None
    """At the rate asked, or at the highest one."""
    memory_bytes: int
    fits: bool
    """Whether it carries the asked rate within p95 and memory."""


class ServingChoice(Value):
    """The way to serve that was chosen; nothing, where no option fits."""

    threads: int | None
    batching: Batching | None
    memory_bytes: int | None
    simulated: SimulatedLoad | None
    why: str
    options: list[ServingOption]
    """All that were simulated, best first."""
    simulated_file: str | None = None
    """``.npz``: ``latency_ns`` of each query of ``simulated``."""
