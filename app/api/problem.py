"""Errors on their way out: every one is ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import errno
from typing import Any

import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from pydantic_core import ErrorDetails
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from app.api.requests import FILE_NAME, FILE_PATH, TARGET_NAME
from app.core.errors import (
    BadRequest,
    Broken,
    Fault,
    MethodNotAllowed,
    NotFound,
    ServiceError,
    StorageFull,
    TooLarge,
    Unavailable,
    Unprocessable,
    UnsupportedMedia,
)
from app.core.ids import id_pattern
from app.core.problem_pages import title_of
from enxuto.errors import BadInput
from enxuto.preprocessing import LAYOUT_PATTERN
from enxuto.refusal import refusal

log = structlog.stdlib.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_MOST_FAULTS = 100
"""A body of a megabyte can hold a hundred thousand faults, and an answer need not."""
_PATTERNS = {
    id_pattern("mdl"): "This is no id of a model: those are mdl_ and 26 letters and digits, as the upload answered",
    id_pattern("dst"): "This is no id of a dataset: those are dst_ and 26 letters and digits, as the upload answered",
    id_pattern("job"): "This is no id of a job: those are job_ and 26 letters and digits, as submitting it answered",
    FILE_NAME: "A file's name has 1 to 255 characters, none of them a slash, a backslash or a control character",
    id_pattern("upl"): "This is no id of an upload: those are upl_ and 26 letters and digits, as its creation answered",
    FILE_PATH: "A path is relative, of 1 to 1024 characters, none of them a backslash or a control character",
    TARGET_NAME: "This is no name of a target: those are `any`, or as GET /v1/targets lists them",
    LAYOUT_PATTERN: "A layout is 2 to 8 capital letters, one for each axis, such as NHWC",
}
_PLACES = {
    "data_does_not_fit": "/data/evaluation",
    "expression_fails": "/metric/expression",
    "earlier_does_not_fit": "/earlier",
}
"""Where in a body stands what the library found wrong by itself, by its code."""
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class ProblemFault(BaseModel):
    """One thing that is wrong with the request."""

    code: str
    detail: str
    pointer: str | None = Field(None, description="JSON pointer into the body, where the body is at fault.")
    parameter: str | None = Field(None, description="Name of the parameter or header at fault.")


class Problem(BaseModel):
    """What went wrong, and what to do about it (RFC 9457)."""

    type: str = Field(description="Page that explains the code: `/problems/{code}`.")
    title: str = Field(description="What the code means, in a sentence.")
    status: int
    detail: str = Field(description="What was wrong this time, and where.")
    instance: str = Field(description="This very occurrence, by the id of its request.")
    code: str = Field(description="Stable; what programs look at.")
    errors: list[ProblemFault] = Field(default=[], description="Each single fault, where there are several places.")
    retryable: bool = Field(description="Whether the same request may do better later.")
    hint: str = Field(description="What to do.")


def problem_of(error: ServiceError, request_id: str) -> Problem:
    return Problem(
        type=f"/problems/{error.code}",
        title=title_of(error.code),
        status=error.status,
        detail=error.detail,
        instance=f"urn:enxuto:request:{request_id}",
        code=error.code,
        errors=[ProblemFault(**vars(fault)) for fault in error.errors],
        retryable=error.retryable,
        hint=error.hint,
    )


def problem_response(error: ServiceError, request_id: str) -> Response:
    body = problem_of(error, request_id).model_dump_json(exclude_none=True)
    return Response(body, error.status, headers=dict(error.headers), media_type=MEDIA_TYPE)


def answer_for(error: Exception, request_id: str) -> Response:
    """The answer to whatever was raised; what is our own fault is logged."""
    problem = as_service_error(error)
    if problem.status >= 500:
        log.error(problem.code, exc_info=error)
    return problem_response(problem, request_id)


async def answer_with_problem(request: Request, error: Exception) -> Response:
    """Exception handler for what the framework would answer in its own way; the rest is caught further out."""
    if isinstance(error, HTTPException) and error.status_code == 405:  # the framework names one route's methods only
        error = HTTPException(405, headers={"Allow": ", ".join(request.app.state.allowed_methods(request.url.path))})
    return answer_for(error, request.state.request_id)


def as_service_error(error: Exception) -> ServiceError:
    """What the framework, the library or the database said, in our words."""
    match error:
        case ServiceError():
            return error
        case RequestValidationError():
            return _invalid_parameters(error)
        case HTTPException():
            return _of_framework(error)
        case BadInput():
            return Unprocessable(error.detail, code=error.code, hint=error.hint, errors=_place(error))
        case OSError() if error.errno in _DISK_FULL:
            return _storage_full()
        case OperationalError() if "disk is full" in str(error):
            return _storage_full()
        case OperationalError() | PoolTimeout():
            return _database_unavailable()
    return _broken()


def _place(error: BadInput) -> list[Fault]:
    pointer = _PLACES.get(error.code)
    return [Fault(error.code, error.detail, pointer=pointer)] if pointer else []


def faults_of(errors: list[ErrorDetails], body: object) -> list[Fault]:
    """Pydantic's errors, each with a JSON pointer into the body."""
    return [
        Fault(
            code=error["type"], detail=_detail(error), pointer=_pointer(error["loc"], body, error["type"] == "missing")
        )
        for error in errors[:_MOST_FAULTS]
    ]


def _detail(error: ErrorDetails) -> str:
    """A pattern is for programs: what people are told is what it stands for."""
    if error["type"] == "string_pattern_mismatch":
        return _PATTERNS.get(error.get("ctx", {}).get("pattern", ""), error["msg"])
    return refusal(error)


def _pointer(location: tuple[str | int, ...], body: object, is_missing: bool) -> str:
    """The location without what is not in the body: Pydantic also names which member of a union it tried."""
    steps, here = list[str](), body
    for position, step in enumerate(location):
        match here, step:
            case dict(), _ if step in here:
                here = here[step]
            case list(), int() if step < len(here):
                here = here[step]
            case _ if not (is_missing and position == len(location) - 1):
                continue
        steps.append(str(step))
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


def _invalid_parameters(error: RequestValidationError) -> ServiceError:
    faults = [_parameter_fault(entry) for entry in error.errors()]
    return Unprocessable(
        " ".join(f"{fault.parameter}: {fault.detail}." for fault in faults),
        code="invalid_parameters",
        hint="See `errors` for each parameter, and /docs for what it may be.",
        errors=faults,
    )


def _parameter_fault(entry: Any) -> Fault:
    _, *name = entry["loc"]
    return Fault(code=entry["type"], detail=_detail(entry), parameter=".".join(map(str, name)))


def _of_framework(error: HTTPException) -> ServiceError:
    headers = dict(error.headers or {})
    match error.status_code:
        case 404:
            return NotFound("There is nothing here.", code="route_not_found", hint="See /docs for what there is.")
        case 405:
            return MethodNotAllowed(
                f"This method is not for this path, which takes {headers['Allow'] or 'GET'}.",
                code="method_not_allowed",
                hint="See /docs for what each path takes.",
                headers=headers,
            )
        case 413:
            return TooLarge(str(error.detail), code="body_too_large", hint="Send less.")
        case 415:
            return UnsupportedMedia(str(error.detail), code="unsupported_media_type", hint="See /docs.")
        case status if 400 <= status < 500:
            return BadRequest(str(error.detail), code="bad_request", hint="See /docs for what is expected.")
    return _broken()


def _storage_full() -> ServiceError:
    return StorageFull(
        "There is no room left to store this; nothing of it was kept.",
        code="storage_full",
        hint="Delete models and datasets that are not needed, or ask the operator for room.",
    )


def _database_unavailable() -> ServiceError:
    return Unavailable(
        "The database does not answer just now.",
        code="database_unavailable",
        hint="Try again in a moment.",
        headers={"Retry-After": "5"},
    )


def _broken() -> ServiceError:
    return Broken(
        "Something went wrong inside the service. Nothing is wrong with the request as far as can be told.",
        code="internal_error",
        hint="Report it with the id in `instance`; the service's log has the details under it.",
    )
