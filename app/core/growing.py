"""Files that grow over several requests, each with one writer at a time.

A file is locked by who writes to it, and the lock goes with the process: after a crash the next writer gets in at once.
How much of a file counts is not for the file to say, but for the row it belongs to (``app.core.resumable``).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from app.core.blobs import Blobs
from app.core.errors import Broken, Locked
from enxuto.schema import Digest


class Growing:
    """One upload's file, held by this writer."""

    def __init__(self, file: BinaryIO, path: Path, blobs: Blobs) -> None:
        self._file = file
        self._path = path
        self._blobs = blobs

    def cut(self, offset_bytes: int) -> None:
        """Forget what is beyond these bytes, and write on from there."""
        if os.fstat(self._file.fileno()).st_size < offset_bytes:
            raise Broken(
                "Bytes of this upload are gone from the store.",
                code="content_missing",
                hint="Upload the file again, and tell the operator: the data folder has lost a file.",
            )
        os.ftruncate(self._file.fileno(), offset_bytes)  # on a full disk this makes the room that a flush wants
        self._file.seek(offset_bytes)
        self._file.truncate(offset_bytes)

    def write(self, data: bytes | memoryview) -> None:
        self._file.write(data)

    def sync(self) -> None:
        """What was written outlives a power cut from here on. Takes as long as the disk does."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def digest(self) -> Digest:
        """SHA-256 of all of it, as it lies on the disk."""
        with self._path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def keep(self, digest: Digest) -> None:
        """Make it the blob of this digest. Read-only comes last: what a crash leaves here is opened to be written."""
        self.sync()
        self._blobs.put_in_place(self._path, digest)
        os.fchmod(self._file.fileno(), 0o400)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


@contextmanager
def growing(blobs: Blobs, upload: str) -> Iterator[Growing]:
    """The file of an upload, made where there is none. Raises Locked while somebody else writes to it."""
    blobs.growing.mkdir(exist_ok=True)
    path = blobs.growing / upload
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        _lock(descriptor)
        _drop_if_gone(path, descriptor)
        yield Growing(file, path, blobs)


def held_back(blobs: Blobs) -> list[str]:
    """Ids of uploads that have a file."""
    with suppress(FileNotFoundError):
        return [path.name for path in blobs.growing.iterdir()]
    return []


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise busy() from error


def _drop_if_gone(path: Path, descriptor: int) -> None:
    """Between the opening and the lock, the one who had it may have finished or removed the file."""
    try:
        same = os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        same = False
    if not same:
        raise busy()


def busy() -> Locked:
    return Locked(
        "Another request writes to this upload just now.",
        code="upload_locked",
        hint="Wait for it to end, ask for the offset (HEAD), and go on from there.",
        headers={"Retry-After": "1"},
    )
