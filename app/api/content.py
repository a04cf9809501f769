"""Blobs on their way out: whole or a range, piece by piece, under their digest."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import anyio
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from app.api.answers import is_known
from app.api.middleware import HEAD_ONLY
from app.core.blobs import CHUNK_BYTES, Blobs
from app.core.errors import Broken, RangeNotSatisfiable
from enxuto.schema import Digest

_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*")


def content(
    request: Request,
    blobs: Blobs,
    digest: Digest,
    *,
    media_type: str = "application/octet-stream",
    name: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """A blob, or the one range of it that was asked for; 304 where the caller has it."""
    path = _path(blobs, digest)
    tag, size = f'"{digest}"', path.stat().st_size
    every = {"ETag": tag, "Accept-Ranges": "bytes", "Repr-Digest": repr_digest(digest), "Cache-Control": "no-cache"}
    every |= {"Content-Disposition": disposition(name)} if name else {}
    every |= headers or {}
    if is_known(request, tag):
        return Response(status_code=304, headers=every)
    asked = _range(request, tag, size)
    start, stop = asked or (0, size)
    every["Content-Length"] = str(stop - start)
    if asked:
        every["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    if HEAD_ONLY in request.scope:
        stop = start
    return StreamingResponse(_read(path, start, stop), 206 if asked else 200, every, media_type)


def repr_digest(digest: Digest) -> str:
    """As in RFC 9530."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(digest)).decode()}:"


def disposition(name: str) -> str:
    """That it is to be saved under this name (RFC 6266); old clients get a name in ASCII."""
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _path(blobs: Blobs, digest: Digest) -> Path:
    try:
        return blobs.path(digest)
    except KeyError as error:
        raise Broken(
            f"The bytes {digest} are gone from the store.",
            code="content_missing",
            hint="Upload the file again, and tell the operator: the data folder has lost a file.",
        ) from error


def _range(request: Request, tag: str, size: int) -> tuple[int, int] | None:
    """First and past-the-last position asked for; None for everything.

    Several ranges, other units and a stale ``If-Range`` are answered with everything, as RFC 9110 allows.
    """
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None or request.headers.get("if-range", tag) != tag or not any(asked.groups()):
        return None
    first, last = asked.groups()
    if not first:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    if start < stop:
        return start, stop
    if first and last and int(first) > int(last):  # no range at all: to be ignored
        return None
    raise RangeNotSatisfiable(
        f"The range asked for lies outside of the {size} bytes that there are.",
        code="range_not_satisfiable",
        hint="Ask for a range that starts within the content, or for all of it.",
        headers={"Content-Range": f"bytes */{size}"},
    )


async def _read(path: Path, start: int, stop: int) -> AsyncIterator[bytes]:
    async with await anyio.open_file(path, "rb") as file:
        await file.seek(start)
        while start < stop:
            piece = await file.read(min(CHUNK_BYTES, stop - start))
            start += len(piece)
            yield piece
