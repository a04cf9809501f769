"""A model's outputs over all samples: kept in mapped files by the original, read back for those compared with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from enxuto.schema import Digest
from enxuto.steps import EvaluationFiles

_NUMBERS = "biuf"


class OutputWriter:
    """Writes each numeric output to a file of its own, batch by batch, in memory that stays flat.

    An output whose shape changes from batch to batch, such as a list of boxes, cannot be told apart by sample: its file
    is dropped.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self._count = count
        self._files: dict[str, Path | None] = {}

    def add(self, start: int, outputs: Mapping[str, np.ndarray]) -> None:
        for position, (name, output) in enumerate(outputs.items()):
            if name not in self._files:
                self._files[name] = self._create(position, output)
            path = self._files[name]
            if path is not None and not _write(path, start, output):
                path.unlink()
                self._files[name] = None

    def names(self) -> dict[str, str]:
        """Name of the file that holds each output."""
        return {name: path.name for name, path in self._files.items() if path is not None}

    def _create(self, position: int, output: np.ndarray) -> Path | None:
        if output.dtype.kind not in _NUMBERS:
            return None
        path = self._folder / f"output_{position}.npy"
        np.lib.format.open_memmap(path, mode="w+", dtype=output.dtype, shape=(self._count, *output.shape[1:]))
        return path


class Reference:
    """What the original left when it was evaluated on the same samples."""

    def __init__(self, reference: EvaluationFiles, files: Mapping[Digest, Path]) -> None:
        self.scores: np.ndarray = np.load(files[reference.scores], mmap_mode="r", allow_pickle=False)
        self._outputs: dict[str, np.ndarray] = {
            name: np.load(files[digest], mmap_mode="r", allow_pickle=False)
            for name, digest in reference.outputs.items()
        }

    def match(self, name: str, position: int) -> np.ndarray | None:
        """The original's output of this name; that of this position where the two models share no such name."""
        if name in self._outputs:
            return self._outputs[name]
        others = list(self._outputs.values())
        return others[position] if position < len(others) else None


def per_sample(output: np.ndarray, count: int) -> bool:
    """Whether the first axis of an output counts samples."""
    return output.ndim > 0 and len(output) == count


def _write(path: Path, start: int, output: np.ndarray) -> bool:
    target = np.lib.format.open_memmap(path, mode="r+")
    if target.shape[1:] != output.shape[1:] or target.dtype != output.dtype:
        return False
    target[start : start + len(output)] = output
    return True
