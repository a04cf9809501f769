"""What travels over HTTP: bodies that come in, resources that go out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field, StringConstraints, TypeAdapter

from app.core.endings import FileRole
from app.core.ids import id_pattern
from app.core.results import JobResult
from enxuto.errors import Fault, Finding
from enxuto.machine import Machine
from enxuto.recipe import Recipe
from enxuto.request import BenchmarkOptions, CompareOptions, OptimizeOptions, ProfileOptions
from enxuto.schema import Digest, Value
from enxuto.signature import DatasetInspection, ModelInspection

ModelId = Annotated[str, StringConstraints(pattern=id_pattern("mdl"))]
DatasetId = Annotated[str, StringConstraints(pattern=id_pattern("dst"))]
UploadId = Annotated[str, StringConstraints(pattern=id_pattern("upl"))]
JobId = Annotated[str, StringConstraints(pattern=id_pattern("job"))]
TARGET_NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,79}$"
FILE_NAME = r"^[^\x00-\x1f\x7f/\\]{1,255}$"
TargetName = Annotated[str, StringConstraints(pattern=TARGET_NAME)]
FileName = Annotated[str, StringConstraints(pattern=FILE_NAME)]
"""A file's name without folders."""

FILE_PATH = r"^[^\x00-\x1f\x7f/\\][^\x00-\x1f\x7f\\]{0,1023}$"
FilePath = Annotated[str, StringConstraints(pattern=FILE_PATH)]
"""A path below a folder."""

UploadState = Literal["inspecting", "ready", "rejected"]
JobKind = Literal["inspect", "optimize", "compare", "benchmark", "profile"]
JobState = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]


class EvaluationData(Value):
    """Datasets by the role they play."""

    evaluation: DatasetId | None = None
    """What accuracy is judged on. Without it nothing is known of accuracy."""


class OptimizeData(EvaluationData):
    calibration: DatasetId | None = None
    """What ranges are calibrated on; by default a part of the evaluation data that judges nothing."""


class InputData(Value):
    """Where inputs come from."""

    evaluation: DatasetId | None = None
    """Samples to run the model on; without them inputs are drawn by chance, of the right shapes and types."""


class _JobBody(Value):
    model: ModelId
    """The model that it is about."""
    target: TargetName = "any"
    """The kind of machine to measure on: a name from `GET /v1/targets`, or `any`."""


class OptimizeBody(OptimizeOptions, _JobBody):
    """Make a model lean, by a goal or a recipe."""

    kind: Literal["optimize"]
    data: OptimizeData = Field(default_factory=OptimizeData)
    earlier: JobId | None = None
    """What if something else were asked? An optimization of the same model with the same data, workload, metric and
    seed that has succeeded: the goal is answered from what it measured, and only what is new is done."""


class CompareBody(CompareOptions, _JobBody):
    """Judge a model against another."""

    kind: Literal["compare"]
    against: ModelId
    """The model that it is judged against."""
    data: EvaluationData = Field(default_factory=EvaluationData)


class BenchmarkBody(BenchmarkOptions, _JobBody):
    """Measure how a model carries load."""

    kind: Literal["benchmark"]
    data: InputData = Field(default_factory=InputData)


class ProfileBody(ProfileOptions, _JobBody):
    """Find where the time of a model's calls goes."""

    kind: Literal["profile"]
    against: ModelId | None = None
    """A model to lay beside it, node groups matched."""
    data: InputData = Field(default_factory=InputData)


class InspectBody(Value):
    """Look into an upload; made by the upload itself."""

    kind: Literal["inspect"] = "inspect"
    model: ModelId | None = None
    dataset: DatasetId | None = None


AnyJobBody = OptimizeBody | CompareBody | BenchmarkBody | ProfileBody
JobBody = Annotated[AnyJobBody, Field(discriminator="kind")]
JobBodyAdapter: TypeAdapter[AnyJobBody] = TypeAdapter(JobBody)
JobRequest = Annotated[AnyJobBody | InspectBody, Field(discriminator="kind")]


class ModelFile(Value):
    """One of the files that a model is made of."""

    path: FilePath
    """Where it lies, seen from the model's folder: weights by the path that the ONNX file calls them."""
    upload: UploadId
    """The upload that brought it, which must be whole."""


class ModelBody(Value):
    """A model from uploads that are whole: an ONNX file, and those that hold its weights."""

    name: FileName
    """What the model is called; its extension counts."""
    files: list[ModelFile] = Field(min_length=1, max_length=10_000)
    """All of its files. The ONNX file is the one whose path is `name`, or the only one that ends in `.onnx`."""


class RenameBody(Value):
    name: FileName
    """The new name."""


class Lineage(Value):
    """Where a model that a job made comes from."""

    parent: str
    """Id of the model that the job was about."""
    job: str
    recipe: Recipe
    candidate: str
    """Its name in the job's report."""


class _Upload(Value):
    id: str
    name: str
    sha256: Digest
    size_bytes: int
    state: UploadState
    finding: Finding | None
    """Why it was rejected."""
    created_at: datetime
    updated_at: datetime


class BesideResource(Value):
    """A file that must lie beside a model for it to be loaded."""

    path: str
    """Seen from the model's folder, as the model calls it. `GET /v1/models/{id}/files/{path}` has it."""
    sha256: Digest
    size_bytes: int


class ModelResource(_Upload):
    """A trained network in a file, or in several. `sha256` and `size_bytes` are those of the ONNX file."""

    files: list[BesideResource]
    """What must lie beside it to be loaded, by path; empty where it is one file."""
    inspection: ModelInspection | None
    """What the file says of itself, once it is ready."""
    job: str | None
    """Id of the job that made it; null for an upload."""
    lineage: Lineage | None
    """Where it comes from, of a model made by a job."""


class UploadResource(Value):
    """A file that comes in piece by piece."""

    id: str
    offset_bytes: int
    """Bytes that are here for good: where to go on from."""
    length_bytes: int | None
    """Bytes of all of it; null while that is not known."""
    sha256: Digest | None
    """Of all of it, once it is whole."""
    metadata: dict[str, str]
    """What `Upload-Metadata` said, decoded."""
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    """When it is thrown away; later with every byte that comes."""


class DatasetResource(_Upload):
    """Samples to calibrate with or to judge by."""

    inspection: DatasetInspection | None
    """What it holds, once it is ready."""


class JobProgress(Value):
    fraction: float
    """Of the whole job, 0 to 1, as far as can be told."""
    eta_s: int | None
    """Seconds that are left at the pace so far; null while that cannot be told."""
    message: str


class JobError(Value):
    """Why a job failed."""

    code: str
    class_: Fault = Field(alias="class")
    """`user`: the model, the data or the request is at fault; `capacity`: the machine ran out; `internal`: a fault of
    the service."""
    detail: str
    hint: str


class JobResource(Value):
    """One request for work."""

    id: str
    kind: JobKind
    state: JobState
    phase: str
    """What it is doing, in a word."""
    progress: JobProgress
    queue_position: int | None
    """1 for the next in line; null once it was taken up."""
    attempt: int
    """How many workers have taken it up."""
    target: str
    request: JobRequest
    """As asked, with every default resolved."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    result: Annotated[JobResult, Field(discriminator="kind")] | None
    """Of a job that ended with an answer; an inspection's stands with the model or dataset."""
    error: JobError | None
    has_report: bool
    """Whether `/report` and `/report.html` are there."""


class CostEstimate(Value):
    """What a job will cost, as far as that follows from the request."""

    candidates: int
    """Models that will be tried, at most."""
    points: int = 0
    """Of a benchmark: ways to run the model that will be measured, at most; where the knee is searched, about."""
    evaluated_samples: int
    """Samples that will be run through models to judge accuracy, at most."""
    fresh_loads: int
    """Fresh processes that time models, at most."""
    timing_s: float
    """Seconds of timing alone, at most; loading, transforming and evaluating come on top."""
    deadline_s: float | None


class ValidatedJob(Value):
    """What would be done; nothing was stored."""

    request: JobBody
    estimate: CostEstimate


class JobFileResource(Value):
    """A file that a job left beside its report and its models."""

    name: str
    role: FileRole
    """`delivered`: what programs take away, such as run settings or a serving plan; `raw`: what was recorded while it
    was measured."""
    sha256: Digest
    size_bytes: int
    media_type: str


class TechniqueResource(Value):
    """A transformation that recipes are made of."""

    kind: str
    summary: str
    lossless: bool
    """Whether outputs stay the same up to rounding."""
    needs_calibration: bool
    """Whether it needs data."""
    parameters: dict[str, object]
    """JSON Schema of its entry in a recipe."""


class TargetResource(Value):
    """A kind of machine that workers measure on."""

    name: str
    machine: Machine
    workers: int
    """How many of this kind are alive."""
    seen_at: datetime
    """When one of them last gave a sign of life."""


class PartState(Value):
    """Whether a part of the service answers."""

    name: Literal["database", "blobs", "redis"]
    ok: bool


class Health(Value):
    status: Literal["ok"] = "ok"
    parts: list[PartState] = Field(default_factory=list)


Item = TypeVar("Item", bound=Value)


class Page(Value, Generic[Item]):
    """A part of a list, newest first."""

    items: list[Item]
    next_cursor: str | None
    """Send it as `cursor` for what comes next; null at the end."""


class ModelPage(Page[ModelResource]):
    """Models, newest first."""


class DatasetPage(Page[DatasetResource]):
    """Datasets, newest first."""


class UploadPage(Page[UploadResource]):
    """Uploads, newest first."""


class JobPage(Page[JobResource]):
    """Jobs, newest first."""


class JobFilePage(Page[JobFileResource]):
    """Files of a job by name; all of them are on one page."""


class TechniquePage(Page[TechniqueResource]):
    """Techniques; all of them are on one page."""


class TargetPage(Page[TargetResource]):
    """Targets; all of them are on one page."""
