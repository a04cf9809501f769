"""Three tensors of a real network, and what one pass over them leaves."""

from __future__ import annotations

import numpy as np

from bench.references.case import Real, named
from enxuto.quantization.observe import Observer
from enxuto.quantization.statistics import TensorStatistics


def activations(real: Real) -> dict[str, np.ndarray]:
    """What convolutions at the beginning, in the middle and at the end write, on the calibration samples."""
    names = list(named(real.model, frozenset({"Conv"})))
    return real.inner([names[0], names[len(names) // 2], names[-1]])


def seen(array: np.ndarray, batch: int) -> TensorStatistics:
    observer = Observer(1)
    for start in range(0, len(array), batch):
        observer.add(array[start : start + batch])
    return observer.result()
