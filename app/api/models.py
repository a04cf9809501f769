"""Models: upload, look, rename, download, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.api.answers import answer
from app.api.bodies import RenameBodyDep
from app.api.content import content
from app.api.declare import file_answer, file_body, headers, problems, schema_body, unchanged
from app.api.deps import (
    CallerDep,
    Filter,
    ModelDep,
    PartsDep,
    SeenModelDep,
    SessionDep,
    WaitDep,
    WindowDep,
    wait_until_settled,
)
from app.api.pages import Filters, page_of
from app.api.receive import receive
from app.api.schemas import FileName, ModelPage, ModelResource, UploadState
from app.api.take_in import take_in
from app.api.views import model_view
from app.core.records import ModelRecord
from app.core.uploads import remove, rename

router = APIRouter(prefix="/models", tags=["models"])


@router.post(
    "",
    status_code=201,
    response_model=ModelResource,
    openapi_extra=file_body(),
    responses={
        200: {"model": ModelResource, "description": "These bytes were here already.", "headers": headers("ETag")},
        201: {"description": "Taken in, and being inspected.", "headers": headers("ETag", "Location")},
        **problems(400, 408, 413, 415, 507),
    },
)
async def upload_model(
    request: Request,
    caller: CallerDep,
    parts: PartsDep,
    wait_s: WaitDep,
    name: Annotated[FileName | None, Query(description="What the file is called; its extension counts.")] = None,
) -> Response:
    """Upload a trained network: the body is the file (`curl -X POST -T model.onnx '…/v1/models?name=model.onnx'`)."""
    received = await receive(request, parts.blobs, parts.settings, name)
    return await take_in(request, parts, caller, ModelRecord, received, wait_s)


@router.get("", response_model=ModelPage, responses=unchanged())
def list_models(
    request: Request,
    session: SessionDep,
    caller: CallerDep,
    window: WindowDep,
    state: UploadState | None = None,
    name: Filter = None,
    sha256: Filter = None,
    job: Filter = None,
) -> Response:
    """The models there are, newest first."""
    wanted: Filters = {
        ModelRecord.state: state,
        ModelRecord.name: name,
        ModelRecord.sha256: sha256,
        ModelRecord.job: job,
    }
    rows, cursor = page_of(session, ModelRecord, caller, window, wanted)
    return answer(request, ModelPage(items=[model_view(row) for row in rows], next_cursor=cursor))


@router.get(
    "/{id}",
    response_model=ModelResource,
    dependencies=[Depends(wait_until_settled)],
    responses=unchanged() | problems(404),
)
def read_model(request: Request, model: ModelDep) -> Response:
    """A model. With `Prefer: wait=10` the answer waits for its inspection."""
    return answer(request, model_view(model))


@router.patch(
    "/{id}",
    response_model=ModelResource,
    openapi_extra=schema_body("RenameBody"),
    responses=problems(400, 404, 412, 413, 415, 428),
)
def rename_model(request: Request, body: RenameBodyDep, session: SessionDep, model: SeenModelDep) -> Response:
    """Give a model another name."""
    rename(session, model, body.name)
    session.commit()
    return answer(request, model_view(model))


@router.delete("/{id}", status_code=204, responses=problems(404, 409, 412, 428))
def delete_model(session: SessionDep, model: SeenModelDep) -> Response:
    """Delete a model. Reports that speak of it stay."""
    remove(session, model)
    session.commit()
    return Response(status_code=204)


@router.get(
    "/{id}/content",
    response_class=Response,
    responses=file_answer(media_type="application/octet-stream"),
)
def download_model(request: Request, model: ModelDep, parts: PartsDep) -> Response:
    """The file, whole or a range of it."""
    return content(request, parts.blobs, model.sha256, name=model.name)
