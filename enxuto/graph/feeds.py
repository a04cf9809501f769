"""Inputs to try a model on: calibration samples where there are any, else random ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from enxuto.axes import counts_samples
from enxuto.dataset import feeds_for
from enxuto.runtimes import LoadedModel
from enxuto.signature import fixed_batch
from enxuto.techniques.base import Context


def a_batch(loaded: LoadedModel, context: Context) -> Mapping[str, np.ndarray]:
    """As many samples as the workload or the model's fixed batch axis wants."""
    if context.calibration is None or context.calibration.count == 0:
        return feeds_for(loaded.inputs, context.workload, None, context.seed)
    size = fixed_batch(loaded.inputs) or context.workload.batch_size
    return filled(next(iter(context.calibration(size))), size)


def filled(feeds: Mapping[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    """A batch brought to its size by repeating samples; a single number is the same for all of them."""
    return {
        name: array[np.arange(size) % len(array)] if counts_samples(array.shape) and len(array) != size else array
        for name, array in feeds.items()
    }


def samples_in(feeds: Mapping[str, np.ndarray]) -> int | None:
    """How many a batch holds; None where nothing in it counts them."""
    return next((len(array) for array in feeds.values() if counts_samples(array.shape)), None)
