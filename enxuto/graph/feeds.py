"""Inputs to try a model on: calibration samples where there are any, else random ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from enxuto.runtimes import LoadedModel
from enxuto.techniques.base import Context


def a_batch(loaded: LoadedModel, context: Context) -> Mapping[str, np.ndarray]:
    """As many samples as the workload or the model's fixed batch axis wants."""
    if context.calibration is None or context.calibration.count == 0:
        from enxuto.dataset import feeds_for

        return feeds_for(loaded.inputs, context.workload, None, context.seed)
    size = fixed_batch(loaded) or context.workload.batch_size
    return filled(next(iter(context.calibration(size))), size)


def fixed_batch(loaded: LoadedModel) -> int | None:
    """Where every input has the same number along its first axis."""
    sizes = {spec.shape[0] for spec in loaded.inputs if spec.shape}
    return next((size for size in sizes if isinstance(size, int)), None) if len(sizes) == 1 else None


def filled(feeds: Mapping[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    """A batch brought to its size by repeating samples."""
    return {name: array[np.arange(size) % len(array)] for name, array in feeds.items()}
