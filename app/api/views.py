"""Rows as resources."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.api.schemas import DatasetResource, JobResource, ModelResource, UploadResource
from app.api.tus import metadata
from app.core import jobs
from app.core.database import utc_now
from app.core.records import DatasetRecord, JobRecord, ModelRecord, UploadRecord
from app.core.several import files_of

_TOO_EARLY = 0.02
"""Below this fraction the pace says nothing."""


def model_view(record: ModelRecord) -> ModelResource:
    columns = {name: getattr(record, name) for name in ModelResource.model_fields if name != "files"}
    files = [{"path": path, **vars(file)} for path, file in files_of(record.files).items()]
    return ModelResource.model_validate(columns | {"files": files})


def dataset_view(record: DatasetRecord) -> DatasetResource:
    return DatasetResource.model_validate(record, from_attributes=True)


def upload_view(record: UploadRecord) -> UploadResource:
    columns = {name: getattr(record, name) for name in UploadResource.model_fields if name != "metadata"}
    return UploadResource.model_validate(columns | {"metadata": metadata(record.described)})


def job_views(session: Session, records: Sequence[JobRecord]) -> list[JobResource]:
    positions = jobs.queue_positions(session, records)
    return [_job_view(record, positions.get(record.id)) for record in records]


def job_view(session: Session, record: JobRecord) -> JobResource:
    (view,) = job_views(session, [record])
    return view


def _job_view(record: JobRecord, queue_position: int | None) -> JobResource:
    columns = {name: getattr(record, name) for name in JobResource.model_fields if hasattr(record, name)}
    progress = {"fraction": record.fraction, "eta_s": _eta_s(record), "message": record.message}
    derived = {"progress": progress, "queue_position": queue_position, "has_report": record.report is not None}
    return JobResource.model_validate(columns | derived)


def look_again(record: JobRecord) -> dict[str, str]:
    """When a caller that polls should come back; nothing once the job has ended."""
    return {} if record.state in jobs.TERMINAL else {"Retry-After": "1" if record.state == "queued" else "2"}


def _eta_s(record: JobRecord) -> int | None:
    """Seconds that are left at the pace so far, with which the deadline may yet deal."""
    if record.state not in jobs.HELD or record.started_at is None or record.fraction < _TOO_EARLY:
        return None
    elapsed_s = (utc_now() - record.started_at).total_seconds()
    return round(elapsed_s * (1 - record.fraction) / record.fraction)
