"""Files to a server and back: streamed, resumed where a connection broke, checked by digest, whole or not there."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import httpx

from enxuto.client.errors import DamagedDownload
from enxuto.client.transport import Transport
from enxuto.errors import BadInput

_CHUNK_BYTES = 1 << 20


def upload(transport: Transport, collection: str, path: Path, *, wait_s: float) -> httpx.Response:
    """Send a file. May be repeated: the same bytes are the same model."""
    if not path.is_file():
        raise BadInput(f"There is no file '{path}'.", code="file_not_found", hint="Check the path.")
    digest = base64.b64encode(bytes.fromhex(sha256(path))).decode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Length": str(path.stat().st_size),
        "Repr-Digest": f"sha-256=:{digest}:",
        "Prefer": f"wait={wait_s:g}",
    }
    return transport.send(
        lambda: transport.http.build_request(
            "POST",
            f"/v1/{collection}",
            params={"name": path.name},
            headers=headers,
            content=_chunks(path),
            timeout=transport.timeout_s + wait_s,
        )
    )


class Promised(Protocol):
    """What the server says of bytes before it sends them."""

    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...


def download(transport: Transport, address: str, promised: Promised, target: Path) -> Path:
    """Fetch bytes, from where an earlier try broke off. ``target`` never shows a part of them."""
    partial = target.with_name(f".{target.name}.{promised.sha256[:16]}.partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    _fill(transport, address, promised, partial)
    if sha256(partial) != promised.sha256:
        partial.unlink()
        raise DamagedDownload(
            f"The bytes of {promised.name} that arrived are not those that the server promised "
            f"(SHA-256 {promised.sha256}).",
            code="damaged_download",
            hint="Download it again. If it happens twice, something between here and the server changes bytes.",
        )
    partial.replace(target)
    return target


def write_whole(path: Path, content: bytes) -> None:
    """So that a reader sees all of it or what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _fill(transport: Transport, address: str, promised: Promised, partial: Path) -> None:
    """Ask for what is missing; a connection that broke is mended for as long as bytes keep coming."""
    started, pause_s = time.monotonic(), 0.2
    with partial.open("ab") as file:
        while (have := os.fstat(file.fileno()).st_size) < promised.size_bytes:
            try:
                _append(transport, address, promised, file.fileno(), have)
                break  # the server has said all: whether it is enough, the digest tells
            except httpx.TransportError as error:
                if os.fstat(file.fileno()).st_size > have:
                    started, pause_s = time.monotonic(), 0.2
                if transport.given_up(started):
                    raise transport.unreachable(error) from error
                pause_s = transport.pause(pause_s)


def _append(transport: Transport, address: str, promised: Promised, descriptor: int, have: int) -> None:
    headers = {"Range": f"bytes={have}-", "If-Range": f'"{promised.sha256}"'} if have else {}
    with transport.stream(address, {**headers, "Accept-Encoding": "identity"}) as response:
        if have and response.status_code != 206:  # the server sends everything again
            os.ftruncate(descriptor, 0)
        for chunk in response.iter_raw():
            os.write(descriptor, chunk)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
