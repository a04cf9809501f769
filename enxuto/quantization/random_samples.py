"""Inputs drawn by chance, for want of data: a guess at ranges, and said to be one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from enxuto.dataset import feeds_for
from enxuto.dataset.preprocess import preprocess
from enxuto.preprocessing import Preprocessing
from enxuto.signature import TensorSpec
from enxuto.workload import Workload

_SAMPLES = 32
_BYTES = 256


class RandomSamples:
    """As a model declares its inputs, each batch from a seed of its own; of a fixed batch axis that many at once.

    Where preprocessing says that an input is stored as bytes (a scale near 1/255), bytes are drawn and prepared;
    else numbers around zero.
    """

    def __init__(self, inputs: Sequence[TensorSpec], workload: Workload, how: Preprocessing, seed: int) -> None:
        self._inputs = inputs
        self._workload = workload
        self._how = how
        self._seed = seed

    @property
    def count(self) -> int:
        return _SAMPLES

    def __call__(self, batch_size: int) -> Iterator[Mapping[str, np.ndarray]]:
        for position, start in enumerate(range(0, _SAMPLES, batch_size)):
            # Drawn at this size, not cut to it: the batch need not be the first axis of every input.
            workload = self._workload.model_copy(update={"batch_size": min(batch_size, _SAMPLES - start)})
            feeds = feeds_for(self._inputs, workload, None, self._seed + position)
            yield {name: self._prepared(name, array, position) for name, array in feeds.items()}

    def _prepared(self, name: str, array: np.ndarray, position: int) -> np.ndarray:
        how = self._how.get(name)
        if how is None or array.dtype.kind != "f" or not 1 / 2 < how.scale * _BYTES < 2:
            return array
        levels = np.random.default_rng(self._seed + position).integers(0, _BYTES, array.shape).astype(np.float32)
        return preprocess(levels, how.model_copy(update={"from_": how.to})).astype(array.dtype, copy=False)
