"""An array as it lies in an uploaded file: described, not yet read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import prod
from typing import IO

import numpy as np

from enxuto.errors import BadInput

LARGEST_HEADER = 1 << 20
MOST_ARRAYS = 256
LONGEST_NAME = 256


@dataclass(frozen=True)
class StoredArray:
    name: str
    dtype: np.dtype
    """Of either byte order; bfloat16 is that of ``ml_dtypes``."""
    shape: tuple[int, ...]
    fortran_order: bool
    open: Callable[[], AbstractContextManager[IO[bytes]]]
    """The elements' bytes, from the first one on."""

    @property
    def size_bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def refuse_name(name: str) -> None:
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise BadInput(
            f"an array's name is empty, longer than {LONGEST_NAME} characters or not printable: {name[:60]!r}.",
            code="bad_array_name",
            hint="Name each array as the model's input that it is meant for.",
        )


def damaged(name: str, why: str) -> BadInput:
    return BadInput(
        f"{name} cannot be read: {why}.",
        code="damaged_dataset",
        hint="Compare its size and checksum with the original, and upload it again.",
    )


def too_many_arrays(name: str, count: int) -> BadInput:
    return BadInput(
        f"{name} holds {count} arrays; {MOST_ARRAYS} are the most.",
        code="too_many_arrays",
        hint="Store one array for each input of the model, samples along the first axis.",
    )


def unsupported_dtype(name: str, dtype: str) -> BadInput:
    return BadInput(
        f"array {name!r} holds elements of type {dtype}.",
        code="unsupported_dtype",
        hint="Store booleans, integers up to 64 bits, float16, float32 or float64 (in .safetensors bfloat16 too).",
    )
