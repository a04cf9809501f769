"""Arrays of an ``.npz``: a zip with one ``.npy`` a member, stored or deflated.

The zip's own list and NumPy's own parser of headers are believed only where they agree with each other: a member
unpacks to exactly its header and the elements that the header declares. Nothing is ever unpickled, and no member's name
becomes a file's name.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from enxuto.dataset.stored import (
    LARGEST_HEADER,
    MOST_ARRAYS,
    StoredArray,
    damaged,
    refuse_name,
    too_many_arrays,
    unsupported_dtype,
)
from enxuto.dataset.zip_directory import zip_directory_bytes
from enxuto.errors import BadInput

_LARGEST_NPY_HEADER = 10_000
_MOST_INFLATED = 256 << 20
_MOST_RATIO = 100
_ENCRYPTED = 1
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, SyntaxError, TypeError,
    ValueError,
)  # fmt: skip
"""What the zip reader and NumPy's parser of headers raise on bytes that are no array."""


def npz_arrays(path: Path, name: str) -> list[StoredArray]:
    """What the file holds, in the file's order.

    Raises:
        BadInput: it is damaged, would unpack to far more than it is, or holds what is no array of numbers.
    """
    directory_bytes = zip_directory_bytes(path)
    if directory_bytes is None:
        raise damaged(name, "it does not end as an .npz does, so it was probably cut short")
    if directory_bytes > LARGEST_HEADER:
        raise too_many_arrays(name, directory_bytes // 50)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _refuse_members(members, path.stat().st_size, name)
            _refuse_bomb(members, path.stat().st_size, name)
            return [_stored(path, archive, member) for member in members]
    except UNREADABLE as error:
        raise damaged(name, str(error) or type(error).__name__) from error


def _refuse_members(members: list[zipfile.ZipInfo], size_bytes: int, name: str) -> None:
    if len(members) > MOST_ARRAYS:
        raise too_many_arrays(name, len(members))
    seen: set[str] = set()
    for member in members:
        _refuse_member(member)
        if not 0 <= member.header_offset < size_bytes:
            raise damaged(name, f"its list says that {member.filename!r} lies outside the file")
        if member.filename in seen:
            raise BadInput(
                f"{name} holds two arrays called {_array_name(member)!r}.",
                code="duplicate_array",
                hint="Give every array a name of its own.",
            )
        seen.add(member.filename)


def _refuse_member(member: zipfile.ZipInfo) -> None:
    """A slash within a name is fine, since models' inputs may have one; a path that leads elsewhere is not."""
    parts = member.filename.replace("\\", "/").split("/")
    if not member.filename.endswith(".npy") or "" in parts or ".." in parts or parts[-1] == ".npy":
        raise BadInput(
            f"the member {member.filename!r} is no array's name.",
            code="bad_array_name",
            hint="Write the file with np.savez: one .npy member for each array.",
        )
    if member.flag_bits & _ENCRYPTED or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadInput(
            f"the member {member.filename!r} is encrypted or compressed in a way that .npz files are not.",
            code="unsupported_compression",
            hint="Write the file with np.savez or np.savez_compressed.",
        )


def _refuse_bomb(members: list[zipfile.ZipInfo], size_bytes: int, name: str) -> None:
    inflated = sum(member.file_size for member in members)
    if inflated > _MOST_INFLATED and inflated > _MOST_RATIO * size_bytes:
        raise BadInput(
            f"{name} has {size_bytes} bytes and would unpack to {inflated}, more than {_MOST_RATIO} times as many.",
            code="suspicious_compression",
            hint="Write it uncompressed, with np.savez.",
        )


def _stored(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> StoredArray:
    name = _array_name(member)
    refuse_name(name)
    with archive.open(member) as file:
        shape, fortran_order, dtype = _read_header(file, name)
        header_bytes = file.tell()
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise unsupported_dtype(name, "object, which only unpickling could read" if dtype.hasobject else str(dtype))
    if any(size < 0 for size in shape) or header_bytes + prod(shape) * dtype.itemsize != member.file_size:
        follow = member.file_size - header_bytes
        raise damaged(f"array {name!r}", f"it declares the shape {list(shape)} of {dtype}, and {follow} bytes follow")
    columns_first = fortran_order and len(shape) > 1
    return StoredArray(name, dtype, shape, columns_first, partial(_open, path, member.filename, header_bytes))


def _read_header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file, max_header_size=_LARGEST_NPY_HEADER)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file, max_header_size=_LARGEST_NPY_HEADER)
    raise unsupported_dtype(name, f"that only version {version[0]}.{version[1]} of the .npy format can describe")


@contextmanager
def _open(path: Path, member: str, header_bytes: int) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        file.read(header_bytes)
        yield file


def _array_name(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(".npy")
