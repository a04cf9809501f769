"""Weights that lie in other files: mapped once a file, and let go of again.

``onnx_ir`` maps the whole file once for each weight and keeps it open: a thousand of them are more than a process may
open. And pages of a map count as the process's memory from when they are touched until the map is gone, though the
kernel could take them back: they are given back here as soon as they were used (``forget``).
"""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import onnx_ir as ir

_SMALLEST = 1 << 16
"""Bytes of a weight that are worth a system call."""


class MappedTensor(ir.Tensor[np.ndarray]):
    """A weight that is read from its file whenever it is looked at."""

    def __init__(self, file: mmap.mmap, offset: int, weight: ir.ExternalTensor) -> None:
        dtype = np.dtype(weight.dtype.numpy())
        flat = np.frombuffer(file, dtype.newbyteorder("<"), count=weight.size, offset=offset)
        super().__init__(flat.reshape(weight.shape.numpy()), dtype=weight.dtype, name=weight.name)
        self._file, self._start = file, offset

    def forget(self) -> None:
        """Give the memory back; the next look reads the file again."""
        start = -(-self._start // mmap.PAGESIZE) * mmap.PAGESIZE
        length = self._start + self.nbytes - start
        if length >= _SMALLEST:
            self._file.madvise(mmap.MADV_DONTNEED, start, length)


def map_weights(model: ir.Model) -> None:
    """Give a model that was just read its weights in other files as maps.

    Left as they are: types whose numbers are packed, and files that do not lie right beside the model, which
    ``onnx_ir`` follows with care or not at all.
    """
    files: dict[str, mmap.mmap] = {}
    for graph in model.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if isinstance(tensor, ir.ExternalTensor) and _is_plain(tensor):
                value.const_value = MappedTensor(_mapped(tensor.path, files), tensor.offset or 0, tensor)


def forget_weights(model: ir.Model) -> None:
    """Give back the memory of all weights that are maps."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            if isinstance(value.const_value, MappedTensor):
                value.const_value.forget()


def _is_plain(tensor: ir.ExternalTensor) -> bool:
    beside = Path(tensor.location).name == str(tensor.location) and not Path(tensor.path).is_symlink()
    return beside and tensor.dtype.itemsize >= 1 and tensor.size > 0


def _mapped(path: str, files: dict[str, mmap.mmap]) -> mmap.mmap:
    if path not in files:
        with Path(path).open("rb") as file:
            files[path] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return files[path]
