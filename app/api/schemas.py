"""What travels over HTTP: bodies that come in, resources that go out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field, StringConstraints, TypeAdapter

from app.core.ids import id_pattern
from app.core.results import CompareResult, OptimizeResult
from enxuto.errors import Fault, Finding
from enxuto.machine import Machine
from enxuto.recipe import Recipe
from enxuto.request import CompareOptions, OptimizeOptions
from enxuto.schema import Digest, Value
from enxuto.signature import DatasetInspection, ModelInspection

ModelId = Annotated[str, StringConstraints(pattern=id_pattern("mdl"))]
DatasetId = Annotated[str, StringConstraints(pattern=id_pattern("dst"))]
TARGET_NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,79}$"
FILE_NAME = r"^[^\x00-\x1f\x7f/\\]{1,255}$"
TargetName = Annotated[str, StringConstraints(pattern=TARGET_NAME)]
FileName = Annotated[str, StringConstraints(pattern=FILE_NAME)]
"""A file's name without folders."""

UploadState = Literal["inspecting", "ready", "rejected"]
JobState = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]


class EvaluationData(Value):
    """Datasets by the role they play."""

    evaluation: DatasetId | None = None
    """What accuracy is judged on. Without it nothing is known of accuracy."""


class OptimizeData(EvaluationData):
    calibration: DatasetId | None = None
    """What ranges are calibrated on; by default a part of the evaluation data that judges nothing."""


class _JobBody(Value):
    model: ModelId
    """The model that it is about."""
    target: TargetName = "any"
    """The kind of machine to measure on: a name from `GET /v1/targets`, or `any`."""


class OptimizeBody(OptimizeOptions, _JobBody):
    """Make a model lean, by a goal or a recipe."""

    kind: Literal["optimize"]
    data: OptimizeData = Field(default_factory=OptimizeData)


class CompareBody(CompareOptions, _JobBody):
    """Judge a model against another."""

    kind: Literal["compare"]
    against: ModelId
    """The model that it is judged against."""
    data: EvaluationData = Field(default_factory=EvaluationData)


class InspectBody(Value):
    """Look into an upload; made by the upload itself."""

    kind: Literal["inspect"] = "inspect"
    model: ModelId | None = None
    dataset: DatasetId | None = None


JobBody = Annotated[OptimizeBody | CompareBody, Field(discriminator="kind")]
JobBodyAdapter: TypeAdapter[OptimizeBody | CompareBody] = TypeAdapter(JobBody)
JobRequest = Annotated[OptimizeBody | CompareBody | InspectBody, Field(discriminator="kind")]


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


class ModelResource(_Upload):
    """A trained network in a file."""

    inspection: ModelInspection | None
    """What the file says of itself, once it is ready."""
    job: str | None
    """Id of the job that made it; null for an upload."""
    lineage: Lineage | None
    """Where it comes from, of a model made by a job."""


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
    kind: Literal["inspect", "optimize", "compare"]
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
    result: Annotated[OptimizeResult | CompareResult, Field(discriminator="kind")] | None
    """Of an optimize or compare job that ended with an answer."""
    error: JobError | None
    has_report: bool
    """Whether `/report` and `/report.html` are there."""


class CostEstimate(Value):
    """What a job will cost, as far as that follows from the request."""

    candidates: int
    """Models that will be tried, at most."""
    evaluated_samples: int
    """Samples that will be run through models to judge accuracy, at most."""
    fresh_loads: int
    """Fresh processes that time models side by side, at most."""
    timing_s: float
    """Seconds of timing alone, at most; loading, transforming and evaluating come on top."""
    deadline_s: float | None


class ValidatedJob(Value):
    """What would be done; nothing was stored."""

    request: Annotated[OptimizeBody | CompareBody, Field(discriminator="kind")]
    estimate: CostEstimate


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


class JobPage(Page[JobResource]):
    """Jobs, newest first."""


class TechniquePage(Page[TechniqueResource]):
    """Techniques; all of them are on one page."""


class TargetPage(Page[TargetResource]):
    """Targets; all of them are on one page."""
