"""Where a job's report is, or why it is not there."""

from __future__ import annotations

from app.core import jobs
from app.core.errors import NotFound, NotReady
from app.core.records import JobRecord
from enxuto.schema import Digest

SANDBOX = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "X-Frame-Options": "DENY",
}
"""The page was written from data that users sent: it may show itself, and nothing else."""


def report_digest(job: JobRecord) -> Digest:
    return _there(job, job.report)


def page_digest(job: JobRecord) -> Digest:
    return _there(job, job.report_html)


def _there(job: JobRecord, digest: Digest | None) -> Digest:
    if digest is not None:
        return digest
    require_ended(job, "its report comes")
    raise NotFound(
        f"{job.id} is {job.state} and left no report.",
        code="report_not_found",
        hint=f"GET /v1/jobs/{job.id} says what it ended with.",
    )


def require_ended(job: JobRecord, what_comes: str) -> None:
    if job.state not in jobs.TERMINAL:
        raise NotReady(
            f"{job.id} is {job.state}; {what_comes} at the end.",
            code="not_ready",
            hint=f"Wait for it: GET /v1/jobs/{job.id} with 'Prefer: wait=30'.",
            headers={"Retry-After": "2"},
        )
