"""Samples of a dataset, read from mapped files batch by batch, in an order drawn by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from enxuto.axes import counts_samples
from enxuto.dataset.preprocess import as_input, preprocess
from enxuto.errors import BadInput
from enxuto.preprocessing import Preprocessing
from enxuto.schema import Digest
from enxuto.signature import TensorSpec
from enxuto.steps import Samples


class SampleBatches:
    """The samples that a step names, prepared as a model's inputs. Reads anew from disk each time."""

    def __init__(
        self,
        samples: Samples,
        files: Mapping[Digest, Path],
        preprocessing: Preprocessing,
        inputs: Sequence[TensorSpec],
    ) -> None:
        if missing := [spec.name for spec in inputs if spec.name not in samples.arrays]:
            raise BadInput(
                f"the data has no array for {', '.join(missing)}; it has {', '.join(samples.arrays)}.",
                code="data_does_not_fit",
                hint="Name each array as the model's input that it is meant for.",
            )
        order = np.random.default_rng(samples.seed).permutation(samples.count // samples.group)
        self.group = samples.group
        """Rows that belong together; they are read one after the other."""
        self._groups = order[samples.start // samples.group : samples.stop // samples.group]
        self.indices = (self._groups[:, None] * samples.group + np.arange(samples.group)).reshape(-1)
        """Positions in the dataset, in the order in which they are read."""
        self._inputs = inputs
        self._preprocessing = preprocessing
        self._arrays = {spec.name: _map(files[samples.arrays[spec.name]]) for spec in inputs}
        self._labels = None if samples.labels is None else files[samples.labels]
        self._dataset_count = samples.count

    @property
    def count(self) -> int:
        return len(self.indices)

    @property
    def names(self) -> list[str]:
        """Of the model's inputs."""
        return [spec.name for spec in self._inputs]

    def __call__(self, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, self.count, batch_size):
            yield self.take(np.arange(start, min(start + batch_size, self.count)))

    def take(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        """The samples at these positions of the order, as one batch; a single number is the same in every batch."""
        rows = self.indices[positions]
        return {spec.name: self._prepared(spec, rows) for spec in self._inputs}

    def labels(self) -> np.ndarray | None:
        """One for each row or one for each group of rows, in the same order; None where the dataset has none, or in
        another number."""
        stored = self.all_labels()
        if stored is None or len(stored) not in (self._dataset_count, self._dataset_count // self.group):
            return None
        return np.ascontiguousarray(stored[self.indices if len(stored) == self._dataset_count else self._groups])

    def all_labels(self) -> np.ndarray | None:
        """As they are stored, of samples that play other roles too; mapped, not read."""
        return None if self._labels is None else _map(self._labels)

    def _prepared(self, spec: TensorSpec, rows: np.ndarray) -> np.ndarray:
        array = self._arrays[spec.name]
        stored = np.asarray(array[rows]) if counts_samples(array.shape) else np.array(array)
        how = self._preprocessing.get(spec.name)
        return as_input(preprocess(stored, how) if how else stored, spec.dtype)


def _map(path: Path) -> np.ndarray:
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
