"""Datasets: upload, look, rename, download, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.api.answers import answer
from app.api.bodies import RenameBodyDep
from app.api.content import content
from app.api.declare import file_answer, file_body, headers, problems, schema_body, unchanged
from app.api.deps import (
    CallerDep,
    DatasetDep,
    Filter,
    PartsDep,
    SeenDatasetDep,
    SessionDep,
    WaitDep,
    WindowDep,
    wait_until_settled,
)
from app.api.pages import Filters, page_of
from app.api.receive import receive
from app.api.requests import FileName
from app.api.schemas import DatasetPage, DatasetResource, UploadState
from app.api.take_in import take_in
from app.api.views import dataset_view
from app.core.records import DatasetRecord
from app.core.uploads import remove, rename

router = APIRouter(prefix="/datasets", tags=["datasets"])


@router.post(
    "",
    status_code=201,
    response_model=DatasetResource,
    openapi_extra=file_body(),
    responses={
        200: {"model": DatasetResource, "description": "These bytes were here already.", "headers": headers("ETag")},
        201: {"description": "Taken in, and being inspected.", "headers": headers("ETag", "Location")},
        **problems(400, 408, 413, 415, 507),
    },
)
async def upload_dataset(
    request: Request,
    caller: CallerDep,
    parts: PartsDep,
    wait_s: WaitDep,
    name: Annotated[FileName | None, Query(description="What the file is called; its extension counts.")] = None,
) -> Response:
    """Upload samples (`.npz`, `.safetensors`): the body is the file
    (`curl -X POST -T calib.npz '…/v1/datasets?name=calib.npz'`)."""
    received = await receive(request, parts.blobs, parts.settings, name)
    return await take_in(request, parts, caller, DatasetRecord, received, wait_s)


@router.get("", response_model=DatasetPage, responses=unchanged())
def list_datasets(
    request: Request,
    session: SessionDep,
    caller: CallerDep,
    window: WindowDep,
    state: UploadState | None = None,
    name: Filter = None,
    sha256: Filter = None,
) -> Response:
    """The datasets there are, newest first."""
    wanted: Filters = {DatasetRecord.state: state, DatasetRecord.name: name, DatasetRecord.sha256: sha256}
    rows, cursor = page_of(session, DatasetRecord, caller, window, wanted)
    return answer(request, DatasetPage(items=[dataset_view(row) for row in rows], next_cursor=cursor))


@router.get(
    "/{id}",
    response_model=DatasetResource,
    dependencies=[Depends(wait_until_settled)],
    responses=unchanged() | problems(404),
)
def read_dataset(request: Request, dataset: DatasetDep) -> Response:
    """A dataset. With `Prefer: wait=10` the answer waits for its inspection."""
    return answer(request, dataset_view(dataset))


@router.patch(
    "/{id}",
    response_model=DatasetResource,
    openapi_extra=schema_body("RenameBody"),
    responses=problems(400, 404, 412, 413, 415, 428),
)
def rename_dataset(request: Request, body: RenameBodyDep, session: SessionDep, dataset: SeenDatasetDep) -> Response:
    """Give a dataset another name."""
    rename(session, dataset, body.name)
    session.commit()
    return answer(request, dataset_view(dataset))


@router.delete("/{id}", status_code=204, responses=problems(404, 409, 412, 428))
def delete_dataset(session: SessionDep, dataset: SeenDatasetDep) -> Response:
    """Delete a dataset. Reports that speak of it stay."""
    remove(session, dataset)
    session.commit()
    return Response(status_code=204)


@router.get(
    "/{id}/content",
    response_class=Response,
    responses=file_answer(media_type="application/octet-stream"),
)
def download_dataset(request: Request, dataset: DatasetDep, parts: PartsDep) -> Response:
    """The file, whole or a range of it."""
    return content(request, parts.blobs, dataset.sha256, name=dataset.name)
