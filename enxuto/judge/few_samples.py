"""Few samples for models that are looked into: in memory, in batches that the model takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from enxuto.dataset import SampleBatches
from enxuto.errors import BadInput
from enxuto.graph.feeds import filled, samples_in
from enxuto.runtimes import LoadedModel
from enxuto.signature import fixed_batch
from enxuto.workload import Workload


@dataclass(frozen=True)
class Batch:
    feeds: Mapping[str, np.ndarray]
    size: int
    count: int
    """Samples that count: the rest repeats some, so that the batch is full."""

    def cut(self, output: np.ndarray) -> np.ndarray:
        return output[: self.count] if output.ndim and len(output) == self.size else output


def batches_for(model: LoadedModel, samples: SampleBatches, workload: Workload) -> list[Batch]:
    """As large as the workload's, or as all samples together where those are fewer and the model runs on so many.

    Ranges that a model takes from its inputs, as dynamic quantization does, span a batch.

    Raises:
        BadInput: there are no samples, or the model does not run on them.
    """
    if not samples.count:
        raise BadInput("no samples to look at", code="too_few_samples", hint="Give at least one sample.")
    size = fixed_batch(model.inputs) or min(workload.batch_size, samples.count)
    if size < workload.batch_size and not _runs(model, samples, size):
        size = workload.batch_size
    return [_full(feeds, size) for feeds in samples(size)]


def _runs(model: LoadedModel, samples: SampleBatches, size: int) -> bool:
    """Some run at one size only, whatever they declare."""
    try:
        model.run(filled(samples.take(np.arange(1)), size))
    except BadInput:
        return False
    return True


def _full(feeds: Mapping[str, np.ndarray], size: int) -> Batch:
    return Batch(filled(feeds, size), size, samples_in(feeds) or size)


def float_outputs(model: LoadedModel) -> list[int]:
    """Positions of the outputs that have an error: chosen classes have none where there are scores."""
    floats = [position for position, spec in enumerate(model.outputs) if "float" in spec.dtype]
    return floats or list(range(len(model.outputs)))


def comparable(output: np.ndarray, original: np.ndarray) -> bool:
    return output.dtype.kind in "biuf" and output.shape == original.shape
