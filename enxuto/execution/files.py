"""Where steps' files lie: bytes under their SHA-256."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Protocol

from enxuto.schema import Digest


class Files(Protocol):
    """Bytes under their SHA-256."""

    def path(self, digest: Digest) -> Path:
        """A local file with these bytes, to be read and never written; a model's weights lie beside it, named by their
        digests. Raises KeyError where there are none."""
        ...

    def add(self, path: Path) -> Digest:
        """Take a copy of a regular file's bytes. Atomic: a reader sees all of them or nothing."""
        ...

    def beside(self, digest: Digest) -> list[Digest]:
        """The files that hold the weights of a model, which calls them by these digests; none for most."""
        ...

    def put_beside(self, digest: Digest, weights: list[Digest]) -> None:
        """Remember which files hold a model's weights."""
        ...


class FolderFiles:
    """Files in one folder, for the library; the service has its blob store.

    All of them lie side by side, so that a model that calls its weights by their digests has them beside it: runtimes
    look for them there, and the readers of ONNX files take neither links nor files with a second name elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._beside: dict[Digest, tuple[Digest, ...]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, digest: Digest) -> Path:
        path = self.folder / digest
        if not path.is_file():
            raise KeyError(digest)
        return path

    def beside(self, digest: Digest) -> list[Digest]:
        return list(self._beside.get(digest, ()))

    def put_beside(self, digest: Digest, weights: list[Digest]) -> None:
        self._beside[digest] = tuple(weights)

    def add(self, path: Path) -> Digest:
        sha256 = hashlib.sha256()
        descriptor, temporary = tempfile.mkstemp(dir=self.folder, prefix=".incoming-")
        try:
            with os.fdopen(descriptor, "wb") as target, path.open("rb") as source:
                while chunk := source.read(1 << 20):
                    sha256.update(chunk)
                    target.write(chunk)
            digest = sha256.hexdigest()
            Path(temporary).replace(self.folder / digest)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return digest
