"""Bytes under their SHA-256, in one folder: a model that calls its weights by their digests has them beside it.

A blob comes to be by a rename, so that a reader sees all of it or nothing. A file that is still being written is locked
by its writer: one that nobody holds was abandoned by a process that died, and is thrown away.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from app.core.settings import Settings
from enxuto.schema import Digest

CHUNK_BYTES = 1 << 18
_NAME_LENGTH = 64
_ABANDONED_AFTER_S = 60.0


class Incoming:
    """A blob that is being written; it is nowhere to be seen until it is kept."""

    def __init__(self, file: BinaryIO, path: Path, blobs: Blobs) -> None:
        self._file = file
        self._path = path
        self._blobs = blobs
        self._sha256 = hashlib.sha256()
        self.size_bytes = 0

    @property
    def digest(self) -> Digest:
        """SHA-256 of what was written so far."""
        return self._sha256.hexdigest()

    def write(self, data: bytes | memoryview) -> None:
        self._sha256.update(data)
        self._file.write(data)
        self.size_bytes += len(data)

    def keep(self) -> Digest:
        """Make it a blob that outlives a power cut. Takes as long as the disk does."""
        self._file.flush()
        os.fchmod(self._file.fileno(), 0o400)
        os.fsync(self._file.fileno())
        self._blobs.put_in_place(self._path, self.digest)
        return self.digest


class Blobs:
    """The blob store; an ``enxuto.execution.files.Files``."""

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.data_dir.absolute() / "blobs"
        self.growing = self.folder / "growing"
        """Files of uploads that are not whole yet (``app.core.growing``)."""
        self._beside = self.folder / "beside"
        self._incoming = self.folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def path(self, digest: Digest) -> Path:
        """A file with these bytes. Raises KeyError where there are none."""
        path = self._place(digest)
        if not path.is_file():
            raise KeyError(digest)
        return path

    def size_bytes(self, digest: Digest) -> int:
        return self.path(digest).stat().st_size

    def holds(self, digest: Digest) -> bool:
        return self._place(digest).is_file()

    @contextmanager
    def incoming(self) -> Iterator[Incoming]:
        """Write a blob piece by piece; what is not kept by the end of the block leaves no trace."""
        descriptor, name = tempfile.mkstemp(dir=self._incoming)
        path = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield Incoming(file, path, self)
        finally:
            path.unlink(missing_ok=True)

    def add(self, path: Path) -> Digest:
        """Take a copy of a regular file's bytes."""
        with path.open("rb") as source, self.incoming() as incoming:
            while chunk := source.read(CHUNK_BYTES):
                incoming.write(chunk)
            return incoming.keep()

    def beside(self, digest: Digest) -> list[Digest]:
        try:
            return self._names(digest).read_text(encoding="ascii").split()
        except FileNotFoundError:
            return []

    def put_beside(self, digest: Digest, weights: list[Digest]) -> None:
        """It follows from the model's bytes, so that it is written once and never changes."""
        self._beside.mkdir(exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._incoming)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write("\n".join(weights))
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(self._names(digest))
        _sync_folder(self._beside)

    def add_bytes(self, data: bytes) -> Digest:
        with self.incoming() as incoming:
            incoming.write(data)
            return incoming.keep()

    def put_in_place(self, path: Path, digest: Digest) -> None:
        """Rename a finished file to where its bytes belong. Equal bytes that are there already are made fresh by it."""
        with self._lock(fcntl.LOCK_SH):
            path.replace(self._place(digest))
        _sync_folder(self.folder)

    def freshen(self, digest: Digest) -> bool:
        """Count a blob's age anew, as if it were put in place again; whether there is one."""
        with self._lock(fcntl.LOCK_SH), suppress(FileNotFoundError):
            os.utime(self._place(digest))
            return True
        return False

    def unused_for(self, age_s: float) -> Iterator[Digest]:
        """Blobs that were last put in place longer ago than this."""
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if len(entry.name) == _NAME_LENGTH and _age_s(Path(entry.path)) >= age_s:
                    yield entry.name

    def delete(self, digest: Digest, *, older_than_s: float = 0.0) -> None:
        """Remove a blob, unless it was put in place since. Who reads it just now reads on to its end."""
        path = self._place(digest)
        with self._lock(fcntl.LOCK_EX):
            if _age_s(path) >= older_than_s:
                path.unlink(missing_ok=True)
                self._names(digest).unlink(missing_ok=True)

    def lift(self) -> None:
        """Bring blobs to where they lie now: there was a folder for each first two letters once."""
        for folder in self.folder.glob("[0-9a-f][0-9a-f]"):
            for path in folder.iterdir():
                with suppress(FileNotFoundError):  # another process that starts was quicker
                    path.replace(self._place(path.name))
            with suppress(OSError):
                folder.rmdir()

    def discard_abandoned(self) -> None:
        """Throw away what processes that died left half-written."""
        for path in self._incoming.iterdir():
            if _age_s(path) >= _ABANDONED_AFTER_S and not _is_held(path):
                path.unlink(missing_ok=True)

    def _place(self, digest: Digest) -> Path:
        return self.folder / digest

    def _names(self, digest: Digest) -> Path:
        """File with the names of those that lie beside a model."""
        return self._beside / digest

    @contextmanager
    def _lock(self, kind: int) -> Iterator[None]:
        """Keeps a blob that is put in place again from being deleted in the same moment."""
        with (self.folder / ".lock").open("wb") as file:
            fcntl.flock(file, kind)
            yield


def _age_s(path: Path) -> float:
    """Seconds since it was last changed or renamed; negative where it is gone."""
    try:
        return time.time() - path.stat().st_ctime
    except FileNotFoundError:
        return -1.0


def _is_held(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
