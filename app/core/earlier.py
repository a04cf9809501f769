"""The report of an earlier job, which another goal is answered from."""

from __future__ import annotations

from pydantic import ValidationError
from sqlalchemy.orm import Session

from app.core.blobs import Blobs
from app.core.records import JobRecord
from enxuto.report import OptimizeReport
from enxuto.schema import Digest


def earlier_job(session: Session, tenant: str, id_: str) -> JobRecord | None:
    """The tenant's job with this id; None where there is none."""
    job = session.get(JobRecord, id_)
    return job if job and job.tenant == tenant else None


def has_measured(job: JobRecord) -> bool:
    """Whether it is an optimization that came to its end."""
    return job.kind == "optimize" and job.state == "succeeded" and job.report is not None


def read_report(blobs: Blobs, digest: Digest) -> OptimizeReport | None:
    """None where the report is gone, or was written by a version that this one does not understand."""
    try:
        return OptimizeReport.model_validate_json(blobs.path(digest).read_bytes())
    except (KeyError, OSError, ValidationError):
        return None
