"""Cancelling, as a user means it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.core import jobs
from app.core.errors import Conflict
from app.core.records import JobRecord


def cancel(session: Session, job: JobRecord) -> None:
    """Ask a job to end; asking again changes nothing. A job that ended otherwise can no longer be cancelled."""
    jobs.request_cancel(session, job)
    if job.state in ("succeeded", "failed"):
        raise Conflict(
            f"{job.id} has {job.state} already.",
            code="job_has_ended",
            hint=f"GET /v1/jobs/{job.id} has what it found.",
        )
