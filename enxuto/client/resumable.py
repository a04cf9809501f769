"""Files to a server over several requests, by tus 1.0.0: a connection that breaks costs one piece.

What the server has of a file from an earlier try, be it of another process, is not sent again: uploads carry their
file's digest in their metadata.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import httpx
from pydantic import BaseModel, ValidationError

from enxuto.beside import weights_beside
from enxuto.client.errors import DamagedUpload, NotFound, Problem
from enxuto.client.transfer import sha256
from enxuto.client.transport import Transport

_PIECE_BYTES = 16 << 20
_PAGE = 200
_TUS = {"Tus-Resumable": "1.0.0"}
_WRONG_OFFSET, _LOCKED, _WRONG_CHECKSUM = 409, 423, 460
_FOR_HASHING = 10
"""Times longer than usual that the server may be silent while it hashes what came."""
_LOCK_S = 60.0
"""That the server may take to notice that an earlier connection is gone."""
_MOST_DAMAGED = 5
"""Pieces in a row that came with another checksum: something in between changes bytes."""


class _Seen(BaseModel):
    """Where an upload stands."""

    id: str
    offset_bytes: int
    length_bytes: int | None = None
    sha256: str | None = None
    """Once it is whole."""
    metadata: dict[str, str] = {}


class _Page(BaseModel):
    items: list[_Seen]
    next_cursor: str | None = None


Begun = Mapping[tuple[str | None, int | None], str]
"""Ids of uploads that are there already, by the digest that is said of their file and its size."""


def begun(transport: Transport) -> Begun:
    """Asked once for all files of a model: there may be thousands of them, and more uploads than one page holds."""
    try:
        listed = [(one, one.metadata.get("sha256")) for one in _listed(transport)]
    except ValidationError:
        return {}
    same = [(one, said) for one, said in listed if one.sha256 in (None, said)]  # a file may change while it is sent
    same.sort(key=lambda pair: pair[0].offset_bytes)  # of two, the one that is further
    return {(said, one.length_bytes): one.id for one, said in same}


def send(transport: Transport, path: Path, digest: str, there: Begun) -> str:
    """Send a file; the id of the upload that holds all of it."""
    size = path.stat().st_size
    found = there.get((digest, size))
    upload = found or _begin(transport, path.name, digest, size)
    try:
        _fill(transport, upload, path, size)
    except NotFound:  # it expired on the way
        if found is None:
            raise
        upload = _begin(transport, path.name, digest, size)
        _fill(transport, upload, path, size)
    return upload


def upload_model(transport: Transport, path: Path, beside: Sequence[str], *, wait_s: float) -> httpx.Response:
    """Send a model with the files beside it that hold its weights. May be repeated: what is there is not sent again."""
    places = {path.name: path, **weights_beside(path, beside)}
    digests = {name: sha256(place) for name, place in places.items()}
    there, of_digest = begun(transport), {digests[name]: place for name, place in places.items()}
    uploads = {digest: send(transport, place, digest, there) for digest, place in of_digest.items()}
    files = [{"path": name, "upload": uploads[digest]} for name, digest in digests.items()]
    answer = transport.send(
        lambda: transport.http.build_request(
            "POST",
            "/v1/models",
            json={"name": path.name, "files": files},
            headers={"Prefer": f"wait={wait_s:g}"},
            timeout=_FOR_HASHING * transport.timeout_s + wait_s,
        )
    )
    _check(answer, digests, path.name)
    return answer


def _check(answer: httpx.Response, digests: Mapping[str, str], name: str) -> None:
    """What the server has is what lies here."""
    model = answer.json()
    taken = {name: model.get("sha256"), **{file["path"]: file["sha256"] for file in model.get("files", [])}}
    if taken != digests:
        raise DamagedUpload(
            f"The server has other bytes of {name} than lie here.",
            code="digest_mismatch",
            hint="Leave the model's files as they are while they are sent, and send them again.",
        )


def _listed(transport: Transport) -> Iterator[_Seen]:
    params: dict[str, str | int] = {"limit": _PAGE}
    while True:
        page = _Page.model_validate_json(transport.get("/v1/uploads", params).content)
        yield from page.items
        if page.next_cursor is None:
            return
        params["cursor"] = page.next_cursor


def _begin(transport: Transport, name: str, digest: str, size: int) -> str:
    metadata = ",".join(f"{key} {_base64(value.encode())}" for key, value in (("filename", name), ("sha256", digest)))
    headers = {**_TUS, "Upload-Length": str(size), "Upload-Metadata": metadata}
    answer = transport.send(lambda: transport.http.build_request("POST", "/v1/uploads", headers=headers))
    return answer.headers["Location"].rpartition("/")[2]


def _fill(transport: Transport, upload: str, path: Path, size: int) -> None:
    """Send what is missing, for as long as it gets on."""
    place, pause_s = f"/v1/uploads/{upload}", 0.2
    damaged, moved, offset = 0, time.monotonic(), _offset(transport, place)
    with path.open("rb") as file:
        while offset < size:
            try:
                offset, moved = _send_piece(transport, place, file, offset, size), time.monotonic()
                damaged, pause_s = 0, 0.2
                continue
            except httpx.TransportError as error:
                if transport.given_up(moved):
                    raise transport.unreachable(error) from error
            except Problem as problem:
                if problem.status not in (_WRONG_OFFSET, _LOCKED, _WRONG_CHECKSUM) and not problem.retryable:
                    raise
                damaged += problem.status == _WRONG_CHECKSUM
                patience_s = _LOCK_S if problem.status == _LOCKED else 0.0
                if damaged > _MOST_DAMAGED or transport.given_up(moved + patience_s):
                    raise
            pause_s = transport.pause(pause_s)
            if (now := _offset(transport, place)) > offset:
                moved = time.monotonic()
            offset = now


def _offset(transport: Transport, place: str) -> int:
    answer = transport.send(lambda: transport.http.build_request("HEAD", place, headers=_TUS))
    return int(answer.headers["Upload-Offset"])


def _send_piece(transport: Transport, place: str, file: BinaryIO, offset: int, size: int) -> int:
    """One request; the offset after it."""
    file.seek(offset)
    piece = file.read(min(_PIECE_BYTES, size - offset))
    headers = {
        **_TUS,
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(offset),
        "Upload-Checksum": f"sha256 {_base64(hashlib.sha256(piece).digest())}",
    }
    last = offset + len(piece) == size
    answer = transport.once(
        transport.http.build_request(
            "PATCH", place, content=piece, headers=headers, timeout=transport.timeout_s * (_FOR_HASHING if last else 1)
        )
    )
    return int(answer.headers["Upload-Offset"])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
