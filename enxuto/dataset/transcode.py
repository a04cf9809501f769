"""Copies an array's elements into a ``.npy`` that can be mapped, in constant memory whatever its size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import IO

import ml_dtypes
import numpy as np

from enxuto.dataset.npz import UNREADABLE
from enxuto.dataset.stored import StoredArray, damaged
from enxuto.errors import BadInput

_CHUNK_ELEMENTS = 1 << 19


def transcode(array: StoredArray, target: Path) -> np.dtype:
    """Write little-endian, in C order; bfloat16, which ``.npy`` cannot hold, as float32. Returns the new dtype.

    Raises:
        BadInput: the elements end too early or do not match their checksum, or one of them is NaN.
    """
    dtype = np.dtype(np.float32) if array.dtype == ml_dtypes.bfloat16 else array.dtype.newbyteorder("<")
    try:
        with array.open() as source, target.open("wb") as file:
            _write_header(file, dtype, array.shape)
            if array.fortran_order:
                _write_reordered(array, source, file, dtype)
            else:
                for chunk in _chunks(array, source):
                    file.write(chunk.astype(dtype, copy=False).tobytes())
    except UNREADABLE as error:
        raise damaged(f"array {array.name!r}", str(error) or type(error).__name__) from error
    return dtype


def _write_header(file: IO[bytes], dtype: np.dtype, shape: tuple[int, ...]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _chunks(array: StoredArray, source: IO[bytes]) -> Iterator[np.ndarray]:
    """Every element once, flat, in the order in which they are stored."""
    left, done = prod(array.shape), 0
    while left:
        count = min(left, _CHUNK_ELEMENTS)
        data = source.read(count * array.dtype.itemsize)
        if len(data) != count * array.dtype.itemsize:
            raise damaged(f"array {array.name!r}", f"it ends after {done} of {prod(array.shape)} elements")
        chunk = np.frombuffer(data, array.dtype)
        _refuse_nan(array, chunk, done)
        yield chunk
        left, done = left - count, done + count
    source.read(1)  # a zip's checksum is compared when its end is reached


def _refuse_nan(array: StoredArray, chunk: np.ndarray, done: int) -> None:
    if array.dtype.kind not in "fV" or not np.isnan(chunk).any():
        return
    first = done + int(np.isnan(chunk).argmax())
    position = [int(axis) for axis in np.unravel_index(first, array.shape, order="F" if array.fortran_order else "C")]
    raise BadInput(
        f"array {array.name!r} holds NaN, first at {position}.",
        code="nan_in_data",
        hint="Remove these samples, or fill in what is missing.",
    )


def _write_reordered(array: StoredArray, source: IO[bytes], file: IO[bytes], dtype: np.dtype) -> None:
    """From Fortran's order, through a scratch file that is mapped anew for each block: mapped pages are memory too."""
    with tempfile.TemporaryFile() as scratch:
        for chunk in _chunks(array, source):
            scratch.write(chunk.astype(dtype, copy=False).tobytes())
        scratch.flush()
        rows = max(1, _CHUNK_ELEMENTS // max(1, prod(array.shape[1:])))
        for start in range(0, array.shape[0], rows):
            mapped = np.memmap(scratch, dtype, mode="r", shape=array.shape, order="F")
            file.write(np.ascontiguousarray(mapped[start : start + rows]).tobytes())
            del mapped
