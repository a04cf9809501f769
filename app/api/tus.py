"""What the tus protocol (1.0.0, https://tus.io/protocols/resumable-upload) says in headers, read and written."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import format_datetime
from typing import Annotated, NoReturn, Protocol

from fastapi import Depends, Header, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware import HEAD_ONLY
from app.core.errors import BadRequest, PreconditionFailed
from app.core.records import UploadRecord

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-defer-length,checksum,expiration,termination"
CHECKSUMS = ("sha1", "sha256")
CONTENT_TYPE = "application/offset+octet-stream"
_PATH = re.compile(r"/v1/uploads(/|$)")
_METADATA = re.compile(
    r"[\x21-\x2b\x2d-\x7e]+( [A-Za-z0-9+/]*={0,2})?(,[\x21-\x2b\x2d-\x7e]+( [A-Za-z0-9+/]*={0,2})?)*"
)
_LONGEST_METADATA = 4096


class Tus:
    """Says the protocol's version with every answer below /v1/uploads, and lets a client that cannot send PATCH or
    DELETE say so in a header."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _PATH.match(scope["path"]):
            await self._app(scope, receive, send)
            return

        async def send_with_version(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Tus-Resumable"] = VERSION
            await send(message)

        meant = Headers(scope=scope).get("x-http-method-override", "").upper()
        if scope["method"] == "POST" and meant in ("PATCH", "DELETE", "HEAD"):
            scope = {**scope, "method": meant}
        await self._app(scope, receive, send_with_version)


class Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...


class Checksum:
    """``Upload-Checksum`` of the bytes of one request."""

    def __init__(self, algorithm: str, expected: bytes) -> None:
        self._hash: Hash = hashlib.new(algorithm, usedforsecurity=False)
        self._expected = expected

    def update(self, data: bytes | memoryview) -> None:
        self._hash.update(data)

    @property
    def fits(self) -> bool:
        return self._hash.digest() == self._expected


VersionHeader = Annotated[str | None, Header(alias="Tus-Resumable", description="`1.0.0`. Required.")]


def require_version(request: Request, version: VersionHeader = None) -> None:
    """Of every request of the protocol; a plain GET is none."""
    if version == VERSION or (request.method == "GET" and HEAD_ONLY not in request.scope):
        return
    raise PreconditionFailed(
        f"This service speaks tus {VERSION}, and the request {version or 'does not say which version'}.",
        code="tus_version",
        hint=f"Send the header Tus-Resumable: {VERSION}.",
        headers={"Tus-Version": VERSION},
    )


VersionDep = Depends(require_version)


def read_bytes(name: str, value: str | None) -> int | None:
    """A number of bytes; None where the header is not there."""
    if value is None:
        return None
    if not re.fullmatch(r"\d{1,18}", value, re.ASCII):
        _refuse(f"{name} is '{value[:40]}', which is no number of bytes.", f"Send {name} as a number, 0 or more.")
    return int(value)


def read_checksum(value: str | None) -> Checksum | None:
    if value is None:
        return None
    algorithm, _, encoded = value.partition(" ")
    if algorithm not in CHECKSUMS:
        _refuse(
            f"Upload-Checksum names the algorithm '{algorithm[:40]}'.", f"Take one of these: {', '.join(CHECKSUMS)}."
        )
    try:
        expected = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        expected = b""
    if len(expected) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        _refuse(
            f"Upload-Checksum holds no {algorithm} in Base64.", "Send the algorithm, a space, and the digest in Base64."
        )
    return Checksum(algorithm, expected)


def read_metadata(value: str | None) -> str:
    """As it was sent, to be said again."""
    given = "" if value is None else ",".join(part.strip() for part in value.split(","))
    keys = [pair.partition(" ")[0] for pair in given.split(",")]
    if given and (len(given) > _LONGEST_METADATA or not _METADATA.fullmatch(given) or len(set(keys)) < len(keys)):
        _refuse(
            f"Upload-Metadata is no list of keys with values in Base64, or is longer than {_LONGEST_METADATA}.",
            "Send pairs separated by commas: a key, a space, and the value in Base64.",
        )
    return given


def metadata(described: str) -> dict[str, str]:
    """Values by key; what is no text is left out."""
    found: dict[str, str] = {}
    for pair in filter(None, described.split(",")):
        key, _, encoded = pair.partition(" ")
        try:
            found[key] = base64.b64decode(encoded, validate=True).decode()
        except ValueError:
            continue
    return found


def state_headers(record: UploadRecord) -> dict[str, str]:
    """Where an upload stands."""
    length = (
        {"Upload-Defer-Length": "1"} if record.length_bytes is None else {"Upload-Length": str(record.length_bytes)}
    )
    said = {"Upload-Metadata": record.described} if record.described else {}
    return {
        "Upload-Offset": str(record.offset_bytes),
        "Upload-Expires": format_datetime(record.expires_at.astimezone(UTC), usegmt=True),
        "Cache-Control": "no-store",
        **length,
        **said,
    }


def abilities(max_bytes: int) -> Mapping[str, str]:
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(max_bytes),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
    }


def _refuse(detail: str, hint: str) -> NoReturn:
    raise BadRequest(detail, code="tus_header_invalid", hint=hint)
