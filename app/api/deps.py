"""What routes are given: nouns that arrive found and authorized."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BeforeValidator
from sqlalchemy.orm import Session

from app.api.answers import require_match
from app.api.views import dataset_view, model_view
from app.core import resumable
from app.core.errors import Fault, NotFound, Unauthorized, Unprocessable
from app.core.ids import Prefix, is_id
from app.core.parts import Parts
from app.core.records import DatasetRecord, JobRecord, ModelRecord, UploadRecord

T = TypeVar("T")
Found = TypeVar("Found", ModelRecord, DatasetRecord, JobRecord)


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


PartsDep = Annotated[Parts, Depends(_parts)]


@dataclass(frozen=True)
class Caller:
    """Who calls."""

    tenant: str


_bearer = HTTPBearer(auto_error=False, description="The operator's key, `enx_…`; none is needed on loopback.")
CredentialsDep = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def current_caller(parts: PartsDep, credentials: CredentialsDep) -> Caller:
    key = parts.settings.operator_key
    if key is None:
        return Caller(tenant="default")
    if credentials is None:
        raise _unauthorized("A key is needed.")
    if not hmac.compare_digest(credentials.credentials.encode(), key.get_secret_value().encode()):
        raise _unauthorized("The key is not known.")
    return Caller(tenant="default")


def _unauthorized(detail: str) -> Unauthorized:
    return Unauthorized(
        detail,
        code="unauthorized",
        hint="Send it as 'Authorization: Bearer enx_…'. The operator has it.",
        headers={"WWW-Authenticate": "Bearer"},
    )


CallerDep = Annotated[Caller, Depends(current_caller)]


async def refuse_unknown_parameters(request: Request) -> None:
    """What the contract does not name for this route is a mistake that would otherwise go unseen."""
    if not request.query_params:
        return
    known = request.app.state.query_parameters()[request.scope["route"].name]
    given = [name for name, _ in request.query_params.multi_items()]
    wrong = [Fault("unknown_parameter", "There is no such parameter.", parameter=n) for n in given if n not in known]
    wrong += [Fault("repeated_parameter", "It is given twice.", parameter=n) for n in known if given.count(n) > 1]
    if wrong:
        raise Unprocessable(
            " ".join(f"{fault.parameter}: {fault.detail}" for fault in wrong),
            code="invalid_parameters",
            hint=f"This route takes: {', '.join(sorted(known)) or 'no parameters'}.",
            errors=wrong,
        )


def _session(request: Request, parts: PartsDep) -> Iterator[Session]:
    """Ends before the answer is sent, so that a slow reader holds no connection."""
    with (parts.reading if request.method == "GET" else parts.writing)() as session:
        yield session


SessionDep = Annotated[Session, Depends(_session, scope="function")]


def _find(session: Session, record: type[Found], prefix: Prefix, id_: str, caller: Caller, request: Request) -> Found:
    """The row, if it is the caller's; locked where it is to be changed."""
    found = None
    if is_id(prefix, id_):
        found = session.get(record, id_, with_for_update=request.method != "GET")
    if found is None or found.tenant != caller.tenant:
        what = record.__tablename__
        raise NotFound(
            f"There is no {what.removesuffix('s')} '{id_[:80]}'.",
            code="not_found",
            hint=f"GET /v1/{what} lists those there are.",
        )
    return found


def _model(id: Annotated[str, Path()], session: SessionDep, caller: CallerDep, request: Request) -> ModelRecord:
    return _find(session, ModelRecord, "mdl", id, caller, request)


def _dataset(id: Annotated[str, Path()], session: SessionDep, caller: CallerDep, request: Request) -> DatasetRecord:
    return _find(session, DatasetRecord, "dst", id, caller, request)


def _job(id: Annotated[str, Path()], session: SessionDep, caller: CallerDep, request: Request) -> JobRecord:
    return _find(session, JobRecord, "job", id, caller, request)


def _upload(id: Annotated[str, Path()], session: SessionDep, caller: CallerDep) -> UploadRecord:
    return resumable.require(session, caller.tenant, id)


ModelDep = Annotated[ModelRecord, Depends(_model)]
DatasetDep = Annotated[DatasetRecord, Depends(_dataset)]
JobDep = Annotated[JobRecord, Depends(_job)]
UploadDep = Annotated[UploadRecord, Depends(_upload)]

IfMatch = Annotated[str | None, Header(description="The ETag of what is to be changed. Required.")]


def _seen_model(model: ModelDep, if_match: IfMatch = None) -> ModelRecord:
    require_match(if_match, model_view(model))
    return model


def _seen_dataset(dataset: DatasetDep, if_match: IfMatch = None) -> DatasetRecord:
    require_match(if_match, dataset_view(dataset))
    return dataset


SeenModelDep = Annotated[ModelRecord, Depends(_seen_model)]
"""A model whose present version the caller has named."""
SeenDatasetDep = Annotated[DatasetRecord, Depends(_seen_dataset)]


def _wait_s(
    parts: PartsDep,
    prefer: Annotated[str | None, Header(description="`wait=10` waits up to ten seconds for it to settle.")] = None,
) -> float:
    asked = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})", prefer or "", re.ASCII)
    return min(float(asked[1]), parts.settings.max_wait_s) if asked else 0.0


WaitDep = Annotated[float, Depends(_wait_s)]
"""Seconds that the caller wants to wait."""


async def wait_until_settled(id: Annotated[str, Path()], caller: CallerDep, parts: PartsDep, wait_s: WaitDep) -> None:
    """For routes that read one thing: it is looked up after the wait."""
    await parts.watch.until_settled(caller.tenant, id, wait_s)


def _as_bool(value: object) -> object:
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _as_int(value: object) -> object:
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d{1,9}", value, re.ASCII) else value


Flag = Annotated[bool, Query(strict=True), BeforeValidator(_as_bool)]
Filter = Annotated[str | None, Query(pattern=r"^[^\x00-\x1f\x7f]{1,255}$")]


@dataclass(frozen=True)
class Window:
    """Which part of a list is wanted."""

    cursor: str | None
    limit: int


def _window(
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.", max_length=100)] = None,
    limit: Annotated[
        int, Query(ge=1, le=200, strict=True, description="Items on a page."), BeforeValidator(_as_int)
    ] = 50,
) -> Window:
    return Window(cursor, limit)


WindowDep = Annotated[Window, Depends(_window)]
