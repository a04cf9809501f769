"""Models of several files: an ONNX file, and beside it those that hold its weights, by the paths that it calls them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from app.core.records import Document
from enxuto.schema import Digest


@dataclass(frozen=True)
class File:
    sha256: Digest
    size_bytes: int


Beside = Mapping[str, File]
"""By the path below the model's folder. Paths are only ever compared: nothing is opened under one."""


def document(files: Beside) -> Document | None:
    """As it is kept; None where there are none."""
    return {path: vars(file) for path, file in sorted(files.items())} or None


def files_of(kept: Document | None) -> dict[str, File]:
    return {path: File(**file) for path, file in (kept or {}).items()}


def manifest(files: Beside) -> Digest | None:
    """Says which files they are, and under which paths."""
    if not files:
        return None
    pairs = sorted((path, file.sha256) for path, file in files.items())
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()
