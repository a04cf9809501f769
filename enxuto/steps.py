"""The units of work that are run in a process of their own, and what each of them finds.

A step names files by digest only, so that its own digest says what it will find. A result names the files that its
process left by their path below the output folder; ``Done.files`` holds their digests.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field, SerializeAsAny

from enxuto.errors import Finding
from enxuto.metric import Metric
from enxuto.preprocessing import Preprocessing
from enxuto.recipe import Recipe
from enxuto.schema import Digest, Value
from enxuto.signature import DatasetInspection, ModelInspection
from enxuto.workload import RuntimeName, Workload


class Samples(Value):
    """A part of a dataset: positions ``start`` to ``stop`` of its samples in an order drawn by ``seed``."""

    arrays: dict[str, Digest]
    """Digest of each ``.npy`` by the name of the model's input."""
    labels: Digest | None
    count: int
    """Samples in the whole dataset."""
    start: int = Field(ge=0)
    stop: int
    seed: int


class InspectModel(Value):
    """Read what a model file says of itself; refuse what no runtime here can run."""

    kind: Literal["inspect_model"] = "inspect_model"
    model: Digest
    name: str
    """As uploaded: its extension must fit what the file is."""


class InspectDataset(Value):
    """Check a dataset and transcode it into one ``.npy`` an array."""

    kind: Literal["inspect_dataset"] = "inspect_dataset"
    dataset: Digest
    name: str


class ApplyRecipe(Value):
    """Apply techniques in order, and check that the outcome loads and runs."""

    kind: Literal["apply_recipe"] = "apply_recipe"
    model: Digest
    recipe: Recipe
    calibration: Samples | None
    preprocessing: Preprocessing
    seed: int
    instruction_sets: list[str] | None = None
    """Of the processor that the model is meant for, which decides what integers look like; null: this machine's."""
    workload: Workload = Field(default_factory=Workload)
    """How the model will be run: what is tried while techniques are applied is tried that way."""


class Applied(Value):
    file: str
    """The new model, among the step's files."""
    size_bytes: int
    notes: list[str]


class EvaluationFiles(Value):
    """What an evaluation leaves for those that are compared with it."""

    scores: Digest
    """``.npy`` of float64, one a sample."""
    outputs: dict[str, Digest]
    """``.npy`` by the output's name, the first axis counts samples."""


class EvaluateModel(Value):
    """Run a model over samples and score each of them; against a reference, also how alike the two are."""

    kind: Literal["evaluate_model"] = "evaluate_model"
    model: Digest
    samples: Samples
    preprocessing: Preprocessing
    metric: Metric
    workload: Workload
    reference: EvaluationFiles | None = None
    """What the baseline left when it was evaluated on the same samples."""
    confidence: float = 0.95
    """Of the one-sided bounds of the drop's interval."""
    relative: bool = True
    """Whether the drop is a share of the baseline's metric."""


class Estimate(Value):
    """A number with the interval that it rests on."""

    value: float
    low: float
    high: float
    confidence: float
    """Two-sided coverage of the interval."""


class Drop(Value):
    """Loss of the metric against the baseline on the same samples; positive is worse."""

    value: float
    low: float
    """One-sided lower bound."""
    high: float
    """One-sided upper bound: what is compared with the limit."""
    confidence: float
    """Of each one-sided bound."""
    relative: bool
    method: Literal["paired_score", "paired_bootstrap"]
    """Tango's score interval for paired proportions, or the bootstrap over samples."""
    samples: int
    worse: int
    """Samples that score lower than with the baseline."""
    better: int
    """Samples that score higher than with the baseline."""


class Fidelity(Value):
    """How alike a model's outputs are to the baseline's, over all outputs and samples."""

    sqnr_db: float | None
    """Signal-to-quantization-noise ratio in decibels; null where the outputs are the same to the bit."""
    cosine: float
    agreement: float | None
    """Share of equal argmax in the judged output; null for outputs without class scores."""
    nonfinite: int = 0
    """Output elements that are NaN or infinite where the baseline's are not; the other figures take them for zero."""


class Evaluation(Value):
    metric_value: float
    """Mean score over the samples."""
    samples: int
    drop: Drop | None = None
    """Against the reference, where there was one."""
    fidelity: Fidelity | None = None
    scores_file: str
    outputs_files: dict[str, str]
    """File by the output's name; empty where a reference was given."""
    worst: list[int] = Field(default_factory=list)
    """Dataset indices of the samples that lost most, at most 20."""


class Subject(Value):
    """A model to be measured, and how it is to be run."""

    model: Digest
    runtime: RuntimeName = "onnxruntime"


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
    block_ms: float = 30.0
    blocks: int = 10
    """Timed blocks of each model."""


class Timing(Value):
    """One model in one load. Raw call times are in the step's file ``calls.npz``, one array a subject."""

    block_medians_ms: list[float]
    calls: int
    p50_ms: float
    mean_ms: float
    cpu_ms: float
    """Process CPU time a call."""
    ratio: float
    """Median over rounds of the baseline's time over this model's, the two blocks of a round side by side."""
    cpu_ratio: float


class HostNoise(Value):
    """What else went on while a step measured; null where the kernel does not say."""

    load_1m: float | None
    steal_share: float | None
    """Share of time that the hypervisor took, 0 to 1."""
    pressure_share: float | None
    """Share of time in which some task waited for a processor (PSI)."""


class LatencyLoad(Value):
    timings: list[Timing]
    """In the order of the subjects."""
    noise: HostNoise
    calls_file: str
    """``.npz`` with every call's wall time in nanoseconds (int64), one array a subject, named by its position."""


class SummarizeLatency(Value):
    """Pool the raw call times of several loads and derive percentiles, as far as their number carries them."""

    kind: Literal["summarize_latency"] = "summarize_latency"
    calls: list[Digest] = Field(min_length=1)
    """``calls.npz`` of each load; the subjects stand in the same order in all of them."""


CALLS_FOR_P95 = 200
CALLS_FOR_P99 = 1000
"""Percentiles want at least ten calls beyond them."""


class Percentiles(Value):
    """Wall time of one subject's calls, pooled over loads."""

    calls: int
    p50_ms: float
    p95_ms: float | None
    """Null below 200 calls."""
    p99_ms: float | None
    """Null below 1,000 calls."""


class LatencySummary(Value):
    subjects: list[Percentiles]


class MeasureMemory(Value):
    """Peak resident memory of a fresh process that loads one model and runs it."""

    kind: Literal["measure_memory"] = "measure_memory"
    subject: Subject
    workload: Workload
    samples: Samples | None
    preprocessing: Preprocessing
    seed: int


class MemoryUse(Value):
    peak_bytes: int
    """Highest resident set of the whole process."""
    runtime_bytes: int
    """Resident set just before the model was loaded: interpreter and libraries."""


class RenderReport(Value):
    """Turn a validated report into one self-contained HTML page."""

    kind: Literal["render_report"] = "render_report"
    report: Digest
    """The report's JSON."""


class Rendered(Value):
    file: str


Step = Annotated[
    InspectModel
    | InspectDataset
    | ApplyRecipe
    | EvaluateModel
    | MeasureLatency
    | SummarizeLatency
    | MeasureMemory
    | RenderReport,
    Field(discriminator="kind"),
]
Result = (
    ModelInspection | DatasetInspection | Applied | Evaluation | LatencyLoad | LatencySummary | MemoryUse | Rendered
)

RESULTS: dict[str, type[Value]] = {
    "inspect_model": ModelInspection,
    "inspect_dataset": DatasetInspection,
    "apply_recipe": Applied,
    "evaluate_model": Evaluation,
    "measure_latency": LatencyLoad,
    "summarize_latency": LatencySummary,
    "measure_memory": MemoryUse,
    "render_report": Rendered,
}
"""What each kind of step finds."""

MEASURES = frozenset({"measure_latency", "measure_memory"})
"""Kinds whose result holds for one machine only, and that want the machine for themselves."""

R = TypeVar("R", bound=Value)


class Done(Value, Generic[R]):
    """A step that ended well."""

    status: Literal["done"] = "done"
    result: SerializeAsAny[R]
    files: dict[str, Digest]
    """Digest of each file that the step left, by its path below the output folder."""
    elapsed_s: float


class Failed(Value):
    """A step that did not: the row that a candidate becomes."""

    status: Literal["failed"] = "failed"
    finding: Finding
    elapsed_s: float


Outcome = Done[Value] | Failed


def step_key(step: Value, machine: str) -> str:
    """Digest of a step and of everything that it reads; what is measured also depends on the machine."""
    kind = getattr(step, "kind", "")
    salt = machine if kind in MEASURES else ""
    return hashlib.sha256(f"{salt}\n{step.model_dump_json(by_alias=True)}".encode()).hexdigest()


def outcome_from_document(kind: str, document: dict[str, Any]) -> Outcome:
    """Read what ``model_dump(mode="json")`` wrote of the outcome of a step of this kind; raises ValidationError."""
    if document.get("status") == "failed":
        return Failed.model_validate(document)
    result = RESULTS[kind].model_validate(document["result"])
    return Done[Value].model_validate({**document, "result": result})
