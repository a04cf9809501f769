"""What is answered over HTTP: resources that go out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field

from app.api.requests import JobBody, JobRequest
from app.core.endings import FileRole
from app.core.results import JobResult
from enxuto.errors import Fault, Finding
from enxuto.machine import Machine
from enxuto.recipe import Recipe
from enxuto.schema import Digest, Value
from enxuto.signature import DatasetInspection, ModelInspection

UploadState = Literal["inspecting", "ready", "rejected"]
JobKind = Literal["inspect", "optimize", "compare", "benchmark", "profile"]
JobState = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]


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
