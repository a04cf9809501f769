"""Jobs: submit, look, cancel, take the report."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.api.answers import answer
from app.api.bodies import JobBodyDep
from app.api.content import content
from app.api.declare import file_answer, headers, problems, schema_body, unchanged
from app.api.deps import (
    CallerDep,
    Filter,
    Flag,
    JobDep,
    PartsDep,
    SessionDep,
    WindowDep,
    wait_until_settled,
)
from app.api.examples import JOB_EXAMPLES
from app.api.files import file_of, files_of, media_type_of
from app.api.pages import Filters, page_of
from app.api.reports import SANDBOX, page_digest, report_digest
from app.api.schemas import JobFilePage, JobKind, JobPage, JobResource, JobState, ValidatedJob
from app.api.submission import submit, validate
from app.api.views import job_view, job_views, look_again
from app.core.cancel import cancel
from app.core.queue import ring
from app.core.records import JobRecord

router = APIRouter(prefix="/jobs", tags=["jobs"])


@router.post(
    "",
    status_code=202,
    response_model=JobResource,
    openapi_extra=schema_body("JobBody", JOB_EXAMPLES),
    responses={
        200: {"model": ValidatedJob, "description": "With `validate_only`: what would be done."},
        202: {"description": "Accepted; it will not be lost.", "headers": headers("ETag", "Location", "Retry-After")},
        **problems(400, 404, 409, 413, 415, 429, 507),
    },
)
def submit_job(
    request: Request,
    body: JobBodyDep,
    session: SessionDep,
    caller: CallerDep,
    parts: PartsDep,
    validate_only: Annotated[Flag, Query(description="Answer what would be done, and store nothing.")] = False,
) -> Response:
    """Ask for work: make a model lean, judge one against another, see what load it carries or where its time goes."""
    if validate_only:
        return answer(request, validate(session, caller, parts.blobs, body))
    job = submit(session, caller, parts, body)
    view = job_view(session, job)
    session.commit()
    ring(parts.settings, job.lane, job.target)
    return answer(request, view, status=202, headers=look_again(job) | {"Location": f"/v1/jobs/{job.id}"})


@router.get("", response_model=JobPage, responses=unchanged())
def list_jobs(
    request: Request,
    session: SessionDep,
    caller: CallerDep,
    window: WindowDep,
    state: JobState | None = None,
    kind: JobKind | None = None,
    model: Annotated[Filter, Query(description="Id of the model or dataset that it is about.")] = None,
) -> Response:
    """The jobs there are, newest first."""
    wanted: Filters = {JobRecord.state: state, JobRecord.kind: kind, JobRecord.subject: model}
    rows, cursor = page_of(session, JobRecord, caller, window, wanted)
    return answer(request, JobPage(items=job_views(session, rows), next_cursor=cursor))


@router.get(
    "/{id}",
    response_model=JobResource,
    dependencies=[Depends(wait_until_settled)],
    responses=unchanged() | problems(404),
)
def read_job(request: Request, session: SessionDep, job: JobDep) -> Response:
    """A job. With `Prefer: wait=30` the answer waits for its end."""
    return answer(request, job_view(session, job), headers=look_again(job))


@router.post("/{id}/cancel", response_model=JobResource, responses=problems(404, 409))
def cancel_job(request: Request, session: SessionDep, job: JobDep) -> Response:
    """Ask a job to end. One that runs hands back the best it has found so far."""
    cancel(session, job)
    view = job_view(session, job)
    session.commit()
    return answer(request, view, headers=look_again(job))


@router.get(
    "/{id}/report", response_class=Response, responses=file_answer(media_type="application/json") | problems(409)
)
def read_report(request: Request, job: JobDep, parts: PartsDep) -> Response:
    """Everything that was measured, as JSON."""
    return content(request, parts.blobs, report_digest(job), media_type="application/json")


@router.get("/{id}/report.html", response_class=Response, responses=file_answer(media_type="text/html") | problems(409))
def read_report_page(request: Request, job: JobDep, parts: PartsDep) -> Response:
    """The report as a page for people, of itself alone."""
    return content(request, parts.blobs, page_digest(job), media_type="text/html; charset=utf-8", headers=SANDBOX)


@router.get("/{id}/files", response_model=JobFilePage, responses=unchanged() | problems(404, 409))
def list_files(request: Request, session: SessionDep, job: JobDep) -> Response:
    """What a job that has ended left beside its report and its models: files for programs, and what was recorded."""
    return answer(request, JobFilePage(items=files_of(session, job), next_cursor=None))


@router.get(
    "/{id}/files/{name}",
    response_class=Response,
    responses=file_answer(media_type="application/octet-stream") | problems(409),
)
def read_file(request: Request, session: SessionDep, job: JobDep, parts: PartsDep, name: str) -> Response:
    """One of these files."""
    file = file_of(session, job, name)
    media_type = media_type_of(file.name)
    return content(request, parts.blobs, file.sha256, media_type=media_type, name=file.name, headers=SANDBOX)
