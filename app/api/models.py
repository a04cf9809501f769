"""Models: upload, look, rename, download, delete."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.api.answers import answer
from app.api.assemble import assemble
from app.api.bodies import RenameBodyDep, is_json, read_model_body, refuse_parameter
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
from app.api.requests import FileName
from app.api.schemas import ModelPage, ModelResource, UploadState
from app.api.take_in import take_in
from app.api.views import model_view
from app.core.errors import NotFound
from app.core.records import ModelRecord
from app.core.several import files_of
from app.core.uploads import remove, rename

router = APIRouter(prefix="/models", tags=["models"])


@router.post(
    "",
    status_code=201,
    response_model=ModelResource,
    openapi_extra=file_body(json="ModelBody"),
    responses={
        200: {"model": ModelResource, "description": "These bytes were here already.", "headers": headers("ETag")},
        201: {"description": "Taken in, and being inspected.", "headers": headers("ETag", "Location")},
        **problems(400, 404, 408, 409, 413, 415, 423, 507),
    },
)
async def upload_model(
    request: Request,
    caller: CallerDep,
    parts: PartsDep,
    wait_s: WaitDep,
    name: Annotated[FileName | None, Query(description="What the file is called; its extension counts.")] = None,
) -> Response:
    """Upload a trained network: the body is the file (`curl -X POST -T model.onnx '…/v1/models?name=model.onnx'`).

    As JSON the body names uploads that are whole (`POST /v1/uploads`): one, or an ONNX file and those that hold its
    weights.
    """
    if is_json(request):
        body = await read_model_body(request, parts)
        refuse_parameter(name, "name", "The body says what the model is called.")
        received = await run_in_threadpool(assemble, parts, caller.tenant, body)
    else:
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
    """The file, whole or a range of it. Of a model of several files it is the ONNX file as it was uploaded."""
    return content(request, parts.blobs, model.sha256, name=model.name)


@router.get(
    "/{id}/files/{path:path}",
    response_class=Response,
    responses=file_answer(media_type="application/octet-stream"),
)
def download_model_file(
    request: Request, model: ModelDep, parts: PartsDep, path: Annotated[str, Path(description="As in `files`.")]
) -> Response:
    """A file that lies beside a model of several files, whole or a range of it."""
    file = files_of(model.files).get(path)
    if file is None:
        raise NotFound(
            f"Beside {model.id} lies no file '{path[:80]}'.",
            code="not_found",
            hint=f"GET /v1/models/{model.id} lists those that do in `files`.",
        )
    return content(request, parts.blobs, file.sha256, name=PurePosixPath(path).name)
