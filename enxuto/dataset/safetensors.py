"""Arrays of a ``.safetensors`` file. The library checks the header; the elements are then read as a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import ml_dtypes
import numpy as np
from pydantic import BaseModel, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from enxuto.dataset.stored import (
    LARGEST_HEADER,
    MOST_ARRAYS,
    StoredArray,
    damaged,
    refuse_name,
    too_many_arrays,
    unsupported_dtype,
)

_LENGTH_BYTES = 8
_DTYPES = {
    "BOOL": np.dtype(np.bool_), "U8": np.dtype("<u1"), "I8": np.dtype("<i1"), "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"), "U32": np.dtype("<u4"), "I32": np.dtype("<i4"), "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"), "F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}  # fmt: skip


class _Entry(BaseModel):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


_HEADER = TypeAdapter(dict[str, _Entry])


def safetensors_arrays(path: Path, name: str) -> list[StoredArray]:
    """What the file holds, in the order of its bytes.

    Raises:
        BadInput: it is damaged, or holds what is no array of numbers.
    """
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if _LENGTH_BYTES + header_bytes > path.stat().st_size:
            raise damaged(name, "it is shorter than its header says")
        if header_bytes > LARGEST_HEADER:
            raise too_many_arrays(name, header_bytes // 50)
        header = file.read(header_bytes)
    try:
        with safe_open(path, framework="np"):
            pass
        described = json.loads(header)
        described.pop("__metadata__", None)
        entries = _HEADER.validate_python(described)
    except (SafetensorError, ValidationError, ValueError) as error:
        raise damaged(name, str(error)) from error
    if len(entries) > MOST_ARRAYS:
        raise too_many_arrays(name, len(entries))
    first = _LENGTH_BYTES + header_bytes
    return [
        _stored(path, key, entry, first)
        for key, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets)
    ]


def _stored(path: Path, name: str, entry: _Entry, first: int) -> StoredArray:
    refuse_name(name)
    if entry.dtype not in _DTYPES:
        raise unsupported_dtype(name, entry.dtype)
    opened = partial(_open, path, first + entry.data_offsets[0])
    return StoredArray(name, _DTYPES[entry.dtype], entry.shape, fortran_order=False, open=opened)


@contextmanager
def _open(path: Path, start: int) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        file.seek(start)
        yield file
