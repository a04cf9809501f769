"""The files that a job left beside its report and its models."""

from __future__ import annotations

from pathlib import PurePath

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.api.reports import require_ended
from app.api.schemas import JobFileResource
from app.core.errors import NotFound
from app.core.records import JobFileRecord, JobRecord

_TEXT = "text/plain; charset=utf-8"
_MEDIA_TYPES = {".json": "application/json", ".pbtxt": _TEXT, ".py": _TEXT, ".txt": _TEXT, ".md": _TEXT}


def media_type_of(name: str) -> str:
    """Nothing that a browser would run."""
    return _MEDIA_TYPES.get(PurePath(name).suffix, "application/octet-stream")


def files_of(session: Session, job: JobRecord) -> list[JobFileResource]:
    """By name; none of a job that failed. Raises NotReady before the job has ended."""
    require_ended(job, "its files come")
    of_job = select(JobFileRecord).where(JobFileRecord.job == job.id).order_by(JobFileRecord.name)
    return [_view(record) for record in session.scalars(of_job)]


def file_of(session: Session, job: JobRecord, name: str) -> JobFileRecord:
    require_ended(job, "its files come")
    found = session.get(JobFileRecord, (job.id, name)) if "\0" not in name else None
    if found is None:
        raise NotFound(
            f"{job.id} left no file '{name[:80]}'.",
            code="not_found",
            hint=f"GET /v1/jobs/{job.id}/files lists those there are.",
        )
    return found


def _view(record: JobFileRecord) -> JobFileResource:
    return JobFileResource.model_validate(
        {
            "name": record.name,
            "role": record.role,
            "sha256": record.sha256,
            "size_bytes": record.size_bytes,
            "media_type": media_type_of(record.name),
        }
    )
