"""What a server shows, as far as a client needs it; what a newer server adds is kept and otherwise ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from enxuto.errors import Fault, Finding
from enxuto.search.plan import Progress


class Resource(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    @property
    def document(self) -> dict[str, Any]:
        """As the server sent it."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class FindingView(Resource):
    code: str
    detail: str
    hint: str = ""
    fault: Fault = "user"


class BesideFile(Resource):
    """A file that must lie beside a model for it to be loaded."""

    path: str
    """Seen from the model's folder."""
    sha256: str
    size_bytes: int

    @property
    def name(self) -> str:
        return self.path


class Upload(Resource):
    """A model or a dataset."""

    id: str
    name: str
    sha256: str
    size_bytes: int
    state: Literal["inspecting", "ready", "rejected"]
    finding: FindingView | None = None
    inspection: dict[str, Any] | None = None
    created_at: datetime
    files: list[BesideFile] = []
    """Of a model of several files: what lies beside it."""


class JobFile(Resource):
    """A file that a job left beside its report and its models."""

    name: str
    role: str
    sha256: str
    size_bytes: int
    media_type: str = ""


class JobProgress(Resource):
    fraction: float = 0.0
    eta_s: float | None = None
    message: str = ""


class JobError(Resource):
    code: str
    class_: Fault = Field(alias="class")
    detail: str
    hint: str = ""

    @property
    def finding(self) -> Finding:
        return Finding(code=self.code, detail=self.detail, hint=self.hint, fault=self.class_)


class Job(Resource):
    """A request for work, as it stands."""

    id: str
    kind: str
    state: Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
    phase: str = ""
    progress: JobProgress = JobProgress()
    queue_position: int | None = None
    attempt: int = 0
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: dict[str, Any] | None = None
    error: JobError | None = None
    has_report: bool = False

    @property
    def ended(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")

    @property
    def seen(self) -> Progress:
        """What a person waiting should see."""
        if self.state == "queued":
            place = f", number {self.queue_position} in line" if self.queue_position else ""
            return Progress("queued", f"waiting for a worker{place}", 0.0)
        return Progress(self.phase or self.state, self.progress.message, min(1.0, max(0.0, self.progress.fraction)))
