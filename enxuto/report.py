"""The report: everything measured for one job. Summary, tables and HTML are derived from it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from enxuto.goal import Goal
from enxuto.machine import Machine
from enxuto.metric import Metric
from enxuto.preprocessing import Preprocessing
from enxuto.recipe import Recipe
from enxuto.request import CompareOptions, OptimizeOptions
from enxuto.schema import Digest, Value
from enxuto.signature import ModelInspection
from enxuto.steps import Drop, Estimate, Fidelity, HostNoise
from enxuto.workload import RuntimeName, Workload

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
    memory_bytes: int | None = None
    """Peak resident memory of a fresh process that ran the model."""


Outcome = Literal["feasible", "infeasible", "not_applicable", "failed", "duplicate", "skipped"]


class Candidate(Value):
    """A model that the search tried."""

    name: str
    recipe: Recipe
    model: ModelRef | None
    runtime: RuntimeName = "onnxruntime"
    settings: dict[str, str] = Field(default_factory=dict)
    outcome: Outcome
    reason: str = ""
    """Why it is not feasible, in a sentence."""
    code: str = ""
    """Of the finding that it failed with."""
    notes: list[str] = Field(default_factory=list)
    selection: Measurements = Field(default_factory=Measurements)
    """On the samples and loads that choose."""
    confirmation: Measurements | None = None
    """On samples and loads that chose nothing; of the winner only."""


class Baseline(Value):
    """The original model, as it was given."""

    model: ModelRef
    selection: Measurements
    confirmation: Measurements | None = None


class Splits(Value):
    """How many samples played which role."""

    calibration: int
    selection: int
    confirmation: int
    note: str = ""


class Replay(Value):
    """What it takes to do it again."""

    model: Digest
    datasets: dict[str, Digest]
    """By role."""
    seed: int
    enxuto: str
    """Version of Enxuto."""


class _Report(Value):
    model: ModelRef
    model_name: str
    inspection: ModelInspection
    metric: Metric | None
    """As resolved; null where there was no data."""
    metric_name: str
    preprocessing: Preprocessing
    workload: Workload
    machine: Machine
    noise: list[HostNoise]
    """Of each fresh load that was timed."""
    margin: float
    """Two times closer than this share of each other count as equal."""
    replay: Replay
    elapsed_s: float


class OptimizeReport(_Report):
    kind: Literal["optimize"] = "optimize"
    request: OptimizeOptions
    """As asked, with every default resolved."""
    goal: Goal | None
    verdict: Verdict
    why: str
    """The verdict in a sentence or two."""
    recommended: ModelRef
    """The winner's model; the original where nothing gained."""
    winner: str | None
    """Name of the winning candidate."""
    unproven: str | None
    """Name of the best candidate by point estimate, where none could be proven."""
    baseline: Baseline
    candidates: list[Candidate]
    pareto: list[str]
    """Names of the candidates that no other beats in speed, size and metric at once; ``original`` among them."""
    splits: Splits
    stopped: Literal["deadline", "cancelled"] | None = None
    """What ended the search before it was done."""


class Axis(Value):
    """One side of a comparison."""

    verdict: Verdict
    passed: bool | None
    """Against its threshold; null where none was asked."""
    estimate: Estimate | None
    """Speedup, ratio or drop, with its interval."""
    detail: str


class CompareReport(_Report):
    kind: Literal["compare"] = "compare"
    request: CompareOptions
    against: ModelRef
    against_name: str
    verdict: Verdict
    why: str
    passed: bool
    """Whether every threshold holds; with none asked, whether nothing regressed."""
    speed: Axis
    accuracy: Axis | None
    memory: Axis
    size: Axis
    measured: Measurements
    measured_against: Measurements
    worst_samples: list[int]


Report = Annotated[OptimizeReport | CompareReport, Field(discriminator="kind")]
ReportAdapter: TypeAdapter[OptimizeReport | CompareReport] = TypeAdapter(Report)
