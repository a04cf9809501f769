"""Bytes on their way in: streamed into the blob store, hashed as they come, never whole in memory."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from python_multipart.multipart import parse_options_header

from app.api.form import OneFile
from app.api.requests import FILE_NAME
from app.core.blobs import Blobs, Incoming
from app.core.errors import BadRequest, Stalled, StorageFull, TooLarge, Unprocessable, UnsupportedMedia
from app.core.settings import Settings
from app.core.several import Beside
from enxuto.schema import Digest

_SHA_256 = re.compile(r"(?:^|,)\s*sha-256\s*=([^,]*)")
_NAME = re.compile(FILE_NAME)


@dataclass(frozen=True)
class Received:
    """A file that came in whole."""

    name: str
    sha256: Digest
    size_bytes: int
    beside: Beside = field(default_factory=dict)
    """Of a model of several files."""


class _Body(Protocol):
    """How the file lies in the request's body."""

    name: str | None

    def feed(self, chunk: bytes) -> Iterable[bytes | memoryview]: ...

    def end(self) -> None: ...


async def receive(request: Request, blobs: Blobs, settings: Settings, name: str | None) -> Received:
    """Take the file that the request's body is, or holds. Whatever goes wrong, nothing of it stays."""
    body = _body_of(request)
    expected = _expected_digest(request)
    _check_announced(request, blobs, settings)
    with blobs.incoming() as incoming:
        await _stream(request, body, incoming, settings)
        name = _checked_name(name or body.name)
        _check_whole(incoming, expected)
        digest = await run_in_threadpool(incoming.keep)
    return Received(name, digest, incoming.size_bytes)


async def _stream(request: Request, body: _Body, incoming: Incoming, settings: Settings) -> None:
    # Written and hashed right here: handing pieces to a thread was measured to be slower.
    clock = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(settings.upload_idle_s) as idle:
            async for chunk in request.stream():
                idle.reschedule(clock.time() + settings.upload_idle_s)
                for piece in body.feed(chunk):
                    incoming.write(piece)
                if incoming.size_bytes > settings.max_upload_bytes:
                    raise too_large(settings)
            body.end()
    except TimeoutError as error:
        raise Stalled(
            f"No byte came for {settings.upload_idle_s:g} seconds.",
            code="upload_stalled",
            hint="Send the file again, over a connection that holds.",
            headers={"Connection": "close"},
        ) from error


class _Raw:
    """The body is the file."""

    name: str | None = None

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        return (chunk,)

    def end(self) -> None:
        """A raw body ends where it ends."""


def _body_of(request: Request) -> _Body:
    kind, options = parse_options_header(request.headers.get("content-type"))
    refuse_encoded(request)
    if kind in (b"", b"application/octet-stream"):
        return _Raw()
    if kind == b"multipart/form-data":
        return OneFile(options.get(b"boundary", b""))
    raise UnsupportedMedia(
        f"A file does not come as '{kind.decode('latin-1')}'.",
        code="unsupported_media_type",
        hint="Send the bytes as application/octet-stream (or without a content type: curl -X POST -T FILE URL), "
        "or one file as multipart/form-data (curl -F file=@FILE URL).",
        headers={"Accept-Post": "application/octet-stream, multipart/form-data"},
    )


def refuse_encoded(request: Request) -> None:
    """Nothing is unpacked here: what is small on its way may be endless afterwards."""
    if encoding := request.headers.get("content-encoding", "").strip():
        raise UnsupportedMedia(
            f"A body with Content-Encoding '{encoding}' is not taken.",
            code="unsupported_content_encoding",
            hint="Send the bytes as they are.",
        )


def announced_bytes(request: Request) -> int:
    """0 where nothing is announced."""
    announced = request.headers.get("content-length", "")
    return int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 19 else 0


def _check_announced(request: Request, blobs: Blobs, settings: Settings) -> None:
    """What is too large is refused before the first byte of it."""
    size = announced_bytes(request)
    if size > settings.max_upload_bytes + (1 << 16):  # what a multipart body may have around its file
        raise too_large(settings)
    if size > (free := shutil.disk_usage(blobs.folder).free):
        raise StorageFull(
            f"{size} bytes are announced, and there is room for {free} bytes.",
            code="storage_full",
            hint="Delete models and datasets that are not needed, or ask the operator for room.",
            headers={"Connection": "close"},
        )


def too_large(settings: Settings) -> TooLarge:
    return TooLarge(
        f"A file may have {settings.max_upload_bytes} bytes at most.",
        code="upload_too_large",
        hint="Send a smaller file, or ask the operator to raise ENXUTO_MAX_UPLOAD_BYTES.",
        headers={"Connection": "close"},
    )


def _checked_name(name: str | None) -> str:
    if name is None:
        raise Unprocessable(
            "The file has no name.",
            code="name_missing",
            hint="Say what it is called: ?name=model.onnx. Its extension tells what it holds.",
        )
    if not _NAME.fullmatch(name):
        raise Unprocessable(
            "The file's name holds a slash, a backslash or a control character, or is too long.",
            code="name_invalid",
            hint="Send a plain file name of at most 255 characters, such as model.onnx.",
        )
    return name


def _expected_digest(request: Request) -> Digest | None:
    """What ``Repr-Digest`` says (RFC 9530); other algorithms than SHA-256 are passed over."""
    given = _SHA_256.search(request.headers.get("repr-digest", ""))
    if given is None:
        return None
    try:
        digest = base64.b64decode(_between_colons(given[1].strip()), validate=True)
    except binascii.Error as error:
        raise _digest_invalid() from error
    if len(digest) != 32:
        raise _digest_invalid()
    return digest.hex()


def _between_colons(value: str) -> str:
    """Of a byte sequence as structured fields write it (RFC 8941)."""
    if len(value) < 2 or value[0] != ":" or value[-1] != ":":
        raise _digest_invalid()
    return value[1:-1]


def _digest_invalid() -> BadRequest:
    return BadRequest(
        "Repr-Digest names SHA-256 and holds no digest of 32 bytes in Base64.",
        code="digest_invalid",
        hint="Send it as: Repr-Digest: sha-256=:BASE64:, or leave it away.",
    )


def _check_whole(incoming: Incoming, expected: Digest | None) -> None:
    if incoming.size_bytes == 0:
        raise Unprocessable(
            "The file is empty.",
            code="upload_empty",
            hint="Check the path: with curl, -T FILE sends a file's bytes.",
        )
    if expected is not None and incoming.digest != expected:
        raise Unprocessable(
            f"The bytes that came have the SHA-256 {incoming.digest}, and Repr-Digest says {expected}.",
            code="digest_mismatch",
            hint="Send the file again; it was changed on its way, or the digest is of another file.",
        )
