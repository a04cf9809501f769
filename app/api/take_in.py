"""A file that came in, on its way to a row: registered, announced to the workers, waited for where that was asked."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from app.api.answers import answer
from app.api.deps import Caller
from app.api.receive import Received
from app.api.schemas import DatasetResource, ModelResource
from app.api.views import dataset_view, model_view
from app.core.errors import NotFound
from app.core.parts import Parts
from app.core.queue import ring
from app.core.records import DatasetRecord, ModelRecord
from app.core.uploads import register

Kind = type[ModelRecord] | type[DatasetRecord]


async def take_in(
    request: Request, parts: Parts, caller: Caller, kind: Kind, received: Received, wait_s: float
) -> Response:
    """201 with what the file became, 200 where these bytes were here already."""
    id_, is_new = await run_in_threadpool(_register, parts, caller, kind, received)
    await parts.watch.until_settled(caller.tenant, id_, wait_s)
    resource = await run_in_threadpool(_read, parts, kind, id_)
    location = {"Location": f"/v1/{kind.__tablename__}/{id_}"}
    return answer(request, resource, status=201 if is_new else 200, headers=location)


def _register(parts: Parts, caller: Caller, kind: Kind, received: Received) -> tuple[str, bool]:
    with parts.writing() as session, session.begin():
        record, is_new = register(session, kind, tenant=caller.tenant, **vars(received))
        id_ = record.id
    if is_new:
        ring(parts.settings, "inspect", "any")
    return id_, is_new


def _read(parts: Parts, kind: Kind, id_: str) -> ModelResource | DatasetResource:
    with parts.reading() as session:
        match session.get(kind, id_):
            case ModelRecord() as model:
                return model_view(model)
            case DatasetRecord() as dataset:
                return dataset_view(dataset)
        detail = "It was deleted while its inspection was waited for."
        raise NotFound(detail, code="not_found", hint="Upload it again.")
