"""Resumable uploads, by the tus protocol 1.0.0: created, written to piece by piece, looked at, deleted."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.api import tus
from app.api.answers import answer
from app.api.append import Appending, beyond_the_end
from app.api.declare import headers, problems, unchanged
from app.api.deps import Caller, CallerDep, PartsDep, SessionDep, UploadDep, WindowDep
from app.api.pages import page_of
from app.api.receive import announced_bytes, refuse_encoded, too_large
from app.api.schemas import UploadPage, UploadResource
from app.api.views import upload_view
from app.core import resumable
from app.core.errors import BadRequest, Conflict, UnsupportedMedia
from app.core.growing import busy, growing
from app.core.parts import Parts
from app.core.records import UploadRecord

router = APIRouter(prefix="/uploads", tags=["uploads"])

_STATE = headers("Tus-Resumable", "Upload-Offset", "Upload-Expires")
_ABILITIES = headers("Tus-Resumable", "Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm")
_BODY = {
    "requestBody": {
        "required": True,
        "content": {tus.CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}
LengthHeader = Annotated[str | None, Header(alias="Upload-Length", description="Bytes of the whole file.")]


@router.options("", status_code=204, responses={204: {"description": "What there is.", "headers": _ABILITIES}})
def describe_uploads(parts: PartsDep) -> Response:
    """What this service understands of the tus protocol, and how large an upload may be."""
    return Response(status_code=204, headers=dict(tus.abilities(parts.settings.max_upload_bytes)))


@router.post(
    "",
    status_code=201,
    response_model=UploadResource,
    dependencies=[tus.VersionDep],
    responses={
        201: {"description": "Begun; its bytes come by PATCH.", "headers": _STATE | headers("Location")},
        **problems(400, 412, 413, 429, 507),
    },
)
async def create_upload(
    request: Request,
    caller: CallerDep,
    parts: PartsDep,
    length: LengthHeader = None,
    defer: Annotated[
        str | None, Header(alias="Upload-Defer-Length", description="`1`: the length is said by a later PATCH.")
    ] = None,
    metadata: Annotated[
        str | None, Header(alias="Upload-Metadata", description="Keys with values in Base64, separated by commas.")
    ] = None,
) -> Response:
    """Begin to send a file that may take several requests (tus 1.0: `Tus-Resumable: 1.0.0`, `Upload-Length`)."""
    size_bytes = _checked_length(tus.read_bytes("Upload-Length", length), defer, parts)
    described = tus.read_metadata(metadata)
    record = await run_in_threadpool(resumable.create, parts, caller.tenant, size_bytes, described)
    where = {"Location": f"/v1/uploads/{record.id}"}
    return answer(request, upload_view(record), status=201, headers=tus.state_headers(record) | where)


@router.get("", response_model=UploadPage, responses=unchanged())
def list_uploads(request: Request, session: SessionDep, caller: CallerDep, window: WindowDep) -> Response:
    """The uploads there are, newest first; those that models were made from stay until they expire."""
    rows, cursor = page_of(session, UploadRecord, caller, window, {})
    return answer(request, UploadPage(items=[upload_view(row) for row in rows], next_cursor=cursor))


@router.get(
    "/{id}",
    response_model=UploadResource,
    dependencies=[tus.VersionDep],
    responses={200: {"description": "Where it stands.", "headers": _STATE | headers("Upload-Length")}}
    | unchanged()
    | problems(404, 412),
)
def read_upload(request: Request, upload: UploadDep) -> Response:
    """Where an upload stands. `HEAD`, with `Tus-Resumable: 1.0.0`, tells the offset to go on from."""
    return answer(request, upload_view(upload), headers=tus.state_headers(upload))


@router.patch(
    "/{id}",
    status_code=204,
    response_class=Response,
    openapi_extra=_BODY,
    dependencies=[tus.VersionDep],
    responses={
        204: {"description": "Taken, for good.", "headers": _STATE},
        **problems(400, 404, 408, 409, 412, 413, 415, 423, 460, 507),
    },
)
async def append_to_upload(
    request: Request,
    id: Annotated[str, Path()],
    caller: CallerDep,
    parts: PartsDep,
    offset: Annotated[
        str | None, Header(alias="Upload-Offset", description="Where these bytes belong. Required.")
    ] = None,
    length: LengthHeader = None,
    checksum: Annotated[
        str | None, Header(alias="Upload-Checksum", description="`sha256` or `sha1`, and the digest in Base64.")
    ] = None,
) -> Response:
    """Append bytes to an upload, from its offset on. With a checksum all of them are taken, or none."""
    record = await run_in_threadpool(resumable.find, parts, caller.tenant, id)
    _check_content_type(request)
    asked = tus.read_bytes("Upload-Offset", offset)
    size_bytes, expected = tus.read_bytes("Upload-Length", length), tus.read_checksum(checksum)
    if record.sha256 is None:
        with growing(parts.blobs, id) as file:
            record = await run_in_threadpool(_opened, parts, caller, id, asked, size_bytes)
            _check_announced(request, record, parts)
            file.cut(record.offset_bytes)
            await Appending(parts, record, file, expected).take(request)
            record = await run_in_threadpool(resumable.find, parts, caller.tenant, id)
            if resumable.is_whole(record):
                await run_in_threadpool(resumable.settle, parts, record, file)
    else:
        _check_offset(record, asked)
        _check_announced(request, record, parts)
        await _check_nothing_more(request, record)
    return Response(status_code=204, headers=tus.state_headers(record))


@router.delete("/{id}", status_code=204, dependencies=[tus.VersionDep], responses=problems(404, 412, 423))
async def delete_upload(id: Annotated[str, Path()], caller: CallerDep, parts: PartsDep) -> Response:
    """Throw an upload away. Models that were made from it keep their bytes."""
    await run_in_threadpool(_delete, parts, caller, id)
    return Response(status_code=204)


def _delete(parts: Parts, caller: Caller, id_: str) -> None:
    resumable.find(parts, caller.tenant, id_)
    resumable.remove(parts, id_)


def _opened(parts: Parts, caller: Caller, id_: str, asked: int | None, size_bytes: int | None) -> UploadRecord:
    """The row as it is now that nobody else writes, its length set where this request brings it."""
    record = resumable.find(parts, caller.tenant, id_)
    if record.sha256:  # finished since it was looked at
        raise busy()
    _check_offset(record, asked)
    if size_bytes is None or size_bytes == record.length_bytes:
        return record
    if record.length_bytes is not None or size_bytes < record.offset_bytes:
        raise BadRequest(
            f"Upload-Length is {size_bytes}, and the upload has {record.length_bytes or record.offset_bytes} bytes.",
            code="tus_header_invalid",
            hint="Send Upload-Length once: when the upload is begun, or with the first request that knows it.",
        )
    resumable.set_length(parts, id_, _checked_length(size_bytes, None, parts) or 0)
    return resumable.find(parts, caller.tenant, id_)


def _checked_length(size_bytes: int | None, defer: str | None, parts: Parts) -> int | None:
    if (size_bytes is None) == (defer is None) or defer not in (None, "1"):
        raise BadRequest(
            "The upload says neither how long it is nor that this comes later, or both.",
            code="tus_header_invalid",
            hint="Send Upload-Length with the number of bytes, or Upload-Defer-Length: 1.",
        )
    if size_bytes is not None and size_bytes > parts.settings.max_upload_bytes:
        raise too_large(parts.settings)
    return size_bytes


def _check_content_type(request: Request) -> None:
    refuse_encoded(request)
    if (given := request.headers.get("content-type", "")) != tus.CONTENT_TYPE:
        raise UnsupportedMedia(
            f"The bytes of an upload do not come as '{given[:80]}'.",
            code="unsupported_media_type",
            hint=f"Send them with Content-Type: {tus.CONTENT_TYPE}.",
            headers={"Accept-Patch": tus.CONTENT_TYPE},
        )


def _check_offset(record: UploadRecord, asked: int | None) -> None:
    if asked is None:
        raise BadRequest(
            "The request does not say where its bytes belong.",
            code="tus_header_invalid",
            hint="Send Upload-Offset, as HEAD answers it.",
        )
    if asked != record.offset_bytes:
        raise Conflict(
            f"The upload has {record.offset_bytes} bytes, and the request goes on from {asked}.",
            code="offset_mismatch",
            hint="Ask for the offset (HEAD), and go on from there.",
            headers={"Upload-Offset": str(record.offset_bytes)},
        )


async def _check_nothing_more(request: Request, record: UploadRecord) -> None:
    async for chunk in request.stream():
        if chunk:
            raise beyond_the_end(record.offset_bytes)


def _check_announced(request: Request, record: UploadRecord, parts: Parts) -> None:
    """What reaches beyond the end is refused before its first byte."""
    end = parts.settings.max_upload_bytes if record.length_bytes is None else record.length_bytes
    if record.offset_bytes + announced_bytes(request) > end:
        raise beyond_the_end(end)
