"""LoadedCopies of a model and single queries to send to them, for runs under load."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from enxuto.dataset import SampleBatches, feeds_for
from enxuto.errors import BadInput
from enxuto.preprocessing import Preprocessing
from enxuto.runtimes import LoadedModel, load_model
from enxuto.schema import Digest
from enxuto.signature import fixed_batch
from enxuto.steps import Samples, Subject
from enxuto.workload import Workload

Feeds = dict[str, np.ndarray]
_MOST_QUERIES = 64
_MOST_BYTES = 64 << 20
"""Of different queries that are kept ready; they are sent over and over."""
_WARM_CALLS = 3
_WARM_UP_S = 20.0
"""At most, of all sizes and copies together."""


@dataclass(frozen=True)
class LoadedCopies:
    """A model loaded several times, with queries for it."""

    models: list[LoadedModel]
    queries: list[Feeds]
    """Each is a batch of one, but for models without a batch axis."""
    fixed_batch: int | None
    """Where the model takes batches of one size only."""

    def batch(self, size: int) -> Feeds:
        """A batch of this size, or of the model's own, made of the queries over and over."""
        size = self.fixed_batch or size
        if size == 1:
            return self.queries[0]
        rows = [self.queries[position % len(self.queries)] for position in range(size)]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def warm_up(self, sizes: Sequence[int]) -> None:
        """Run every size on every copy, largest first: runtimes plan memory and choose kernels by shape."""
        until = time.perf_counter() + _WARM_UP_S
        for size in sorted({self.fixed_batch or size for size in sizes}, reverse=True):
            feeds = self.batch(size)
            for model in self.models:
                for _ in range(_WARM_CALLS):
                    model.run(feeds)
            if time.perf_counter() > until:
                return


def load_copies(
    subject: Subject,
    workload: Workload,
    samples: Samples | None,
    preprocessing: Preprocessing,
    files: Mapping[Digest, Path],
    *,
    instances: int,
    largest: int,
    seed: int,
) -> LoadedCopies:
    """Load the model ``instances`` times, and check that it takes batches of up to ``largest``.

    Raises:
        BadInput: it does not load, or takes no batches of this size (``batch_not_taken``).
    """
    models = [load_model(files[subject.model], subject.settings, workload.threads) for _ in range(instances)]
    inputs = models[0].inputs
    data = SampleBatches(samples, files, preprocessing, inputs) if samples else None
    fixed = fixed_batch(inputs)
    two = feeds_for(inputs, workload.model_copy(update={"batch_size": 2}), data, seed)
    has_batch_axis = all(array.ndim and len(array) == (fixed or 2) for array in two.values())
    _check(fixed if has_batch_axis else None, has_batch_axis, largest)
    one = workload.model_copy(update={"batch_size": 1})
    if not has_batch_axis:
        return LoadedCopies(models, [feeds_for(inputs, one, data, seed)], None)
    count = _queries_kept(two, fixed or 2)
    many = feeds_for(inputs, workload.model_copy(update={"batch_size": count}), data, seed)
    rows = len(next(iter(many.values())))
    queries = [{name: array[row : row + 1] for name, array in many.items()} for row in range(rows)]
    return LoadedCopies(models, queries, fixed)


def _check(fixed: int | None, has_batch_axis: bool, largest: int) -> None:
    most = 1 if not has_batch_axis else fixed or largest
    if largest > most:
        raise BadInput(
            f"batches of {largest} are asked for, and the model takes {most} at most: "
            + ("its batch axis is fixed." if has_batch_axis else "not all of its inputs have a batch axis."),
            code="batch_not_taken",
            hint=f"Ask for a largest batch of {most}, or export the model with a symbolic batch axis.",
        )


def _queries_kept(two: Feeds, rows: int) -> int:
    bytes_each = sum(array.nbytes for array in two.values()) // rows
    return max(1, min(_MOST_QUERIES, _MOST_BYTES // max(bytes_each, 1)))
