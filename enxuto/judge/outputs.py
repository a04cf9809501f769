"""A model's outputs over all samples: kept in mapped files by the original, read back for those compared with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from enxuto.schema import Digest
from enxuto.steps import EvaluationFiles


class OutputWriter:
    """Writes each numeric output to a file of its own, batch by batch, in memory that stays flat.

    An output whose shape changes from batch to batch, such as a list of boxes, cannot be told apart by sample: its file
    is dropped.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self._count = count
        self._arrays: dict[str, np.memmap] = {}

    def add(self, start: int, outputs: Mapping[str, np.ndarray]) -> None:
        if start == 0:
            self._create(outputs)
        for name, array in list(self._arrays.items()):
            output = outputs.get(name)
            if output is not None and (output.shape[1:], output.dtype) == (array.shape[1:], array.dtype):
                array[start : start + len(output)] = output
            else:
                _path(self._arrays.pop(name)).unlink()

    def names(self) -> dict[str, str]:
        """Name of the file that holds each output."""
        return {name: _path(array).name for name, array in self._arrays.items()}

    def _create(self, outputs: Mapping[str, np.ndarray]) -> None:
        for position, (name, output) in enumerate(outputs.items()):
            if is_numeric(output) and output.size:
                path, shape = self._folder / f"output_{position}.npy", (self._count, *output.shape[1:])
                self._arrays[name] = np.lib.format.open_memmap(path, mode="w+", dtype=output.dtype, shape=shape)


class ScoreWriter:
    """Writes what the metric makes of each unit, in the order in which units come."""

    name = "scores.npy"

    def __init__(self, folder: Path, count: int) -> None:
        self._path = folder / self.name
        self._count = count
        self._array: np.memmap | None = None
        self._written = 0

    def add(self, scores: np.ndarray) -> None:
        """Shape [units] or [units, numbers]; a batch may complete no unit."""
        if self._array is None:
            shape = (self._count, *scores.shape[1:])
            self._array = np.lib.format.open_memmap(self._path, mode="w+", dtype=np.float64, shape=shape)
        self._array[self._written : self._written + len(scores)] = scores
        self._written += len(scores)

    def finished(self) -> np.ndarray:
        """All of them, mapped."""
        assert self._array is not None, "there are samples"  # noqa: S101
        assert self._written == self._count, "every unit is scored"  # noqa: S101
        self._array.flush()
        return self._array


class Reference:
    """What the original left when it was evaluated on the same samples."""

    def __init__(self, reference: EvaluationFiles, files: Mapping[Digest, Path]) -> None:
        self.scores: np.ndarray = np.load(files[reference.scores], mmap_mode="r", allow_pickle=False)
        self._outputs: dict[str, np.ndarray] = {
            name: np.load(files[digest], mmap_mode="r", allow_pickle=False)
            for name, digest in reference.outputs.items()
        }

    def pair(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """The original's outputs by the names of another model's: the same name, or the same position where the two
        share no name at all, as two exports of one network may."""
        shared = {name: self._outputs[name] for name in names if name in self._outputs}
        if shared or len(names) != len(self._outputs):
            return shared
        return dict(zip(names, self._outputs.values(), strict=True))


def is_numeric(output: np.ndarray) -> bool:
    return output.dtype.kind in "biuf"


def _path(array: np.memmap) -> Path:
    return Path(str(array.filename))
