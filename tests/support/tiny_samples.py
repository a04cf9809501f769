"""Samples and models in a folder as a step finds them: files under their digests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import ModelProto

from enxuto.execution.files import FolderFiles
from enxuto.schema import Digest
from enxuto.steps import Samples


class StepFiles(dict[Digest, Path]):
    """What a step is given, filled by tests."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._store = FolderFiles(folder / "files")
        self._draft = folder / "draft"

    def add(self, path: Path) -> Digest:
        digest = self._store.add(path)
        self[digest] = self._store.path(digest)
        return digest

    def add_model(self, model: ModelProto) -> Digest:
        self._draft.write_bytes(model.SerializeToString())
        return self.add(self._draft)

    def add_array(self, array: np.ndarray) -> Digest:
        with self._draft.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        return self.add(self._draft)

    def samples(
        self,
        arrays: dict[str, np.ndarray],
        labels: np.ndarray | None = None,
        *,
        stop: int | None = None,
        seed: int = 0,
        group: int = 1,
    ) -> Samples:
        count = len(next(iter(arrays.values())))
        return Samples(
            arrays={name: self.add_array(array) for name, array in arrays.items()},
            labels=None if labels is None else self.add_array(labels),
            count=count,
            start=0,
            stop=count if stop is None else stop,
            seed=seed,
            group=group,
        )
