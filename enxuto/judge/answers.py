"""Runs a model over samples, in batches larger than the workload's where that changes nothing but the time.

A model may take ranges from what it is given, as dynamic quantization does: then what it answers for a sample depends
on those beside it, and it is run as the workload says (record 12 in docs/decisions). All others are run in larger
batches once a first one has shown the same outputs as one by one, and room for it (record 30).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from enxuto.dataset import SampleBatches
from enxuto.errors import BadInput, OutOfCapacity, StepCrashed
from enxuto.graph.feeds import filled
from enxuto.judge.scoring import Seen
from enxuto.measure.resident import resident_bytes
from enxuto.runtimes import LoadedModel
from enxuto.settings import OpenVinoSettings, RunSettings
from enxuto.signature import fixed_batch

_LARGEST = 32
_MOST_BYTES = 64 << 20
"""Of a batch's inputs and outputs."""
_MOST_GROWTH_BYTES = 512 << 20
"""Of what the runtime holds besides, told from a batch that is four times the workload's."""
_FEW = 4
_SAME = 1e-4
"""Of an output's largest value: what another order of adding up may change."""
_QUANTIZES = b"DynamicQuantize"
"""Stands in the name of every operator that takes its range from a whole batch."""


def depends_on_batch(path: Path, settings: RunSettings) -> bool:
    """Whether a model's answers may depend on what else is in the batch, as far as its file and settings tell.

    The file is searched for the name and not parsed: a node's type stands in it as plain text.
    """
    if isinstance(settings, OpenVinoSettings) and settings.dynamic_quantization:
        return True
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_QUANTIZES) >= 0


def answers(model: LoadedModel, samples: SampleBatches, batch_size: int, *, may_grow: bool) -> Iterator[Seen]:
    """What the model answers, batch by batch in the order of the samples.

    A fixed batch axis is taken as it is; the last batch is filled by repetition and cut again.

    Raises:
        BadInput: the model does not run on these samples.
    """
    size, ready = fixed_batch(model.inputs) or batch_size, list[Seen]()
    if may_grow and fixed_batch(model.inputs) is None:
        size, ready = _grown(model, samples, size)
    yield from ready
    for start in range(sum(one.count for one in ready), samples.count, size):
        yield _run(model, samples, start, min(size, samples.count - start), size)


def _run(model: LoadedModel, samples: SampleBatches, start: int, count: int, size: int) -> Seen:
    batch = samples.take(np.arange(start, start + count))
    found = model.run(filled(batch, size))  # a model may run at one size only, whatever its axis says
    whole = {spec.name: output for spec, output in zip(model.outputs, found, strict=True)}
    by_row = {name: output[:count] for name, output in whole.items() if output.ndim and len(output) == size}
    return Seen(start, count, batch, by_row, whole)


def _grown(model: LoadedModel, samples: SampleBatches, size: int) -> tuple[int, list[Seen]]:
    """The size to run at, and what the first samples came to at the workload's own."""
    if 2 * size > _LARGEST or samples.count < 2 * _FEW * size:
        return size, []
    ready = [_run(model, samples, 0, size, size)]
    try:
        larger = min(_roomy(model, samples, ready[0], size), samples.count // 2)
        larger -= larger % size
        if larger <= size:
            return size, ready
        together = _run(model, samples, 0, larger, larger)
    except (BadInput, OutOfCapacity, StepCrashed):
        return size, ready
    ready += [_run(model, samples, start, size, size) for start in range(size, larger, size)]
    return (larger if _same(ready, together) else size), ready


def _roomy(model: LoadedModel, samples: SampleBatches, first: Seen, size: int) -> int:
    """How many samples have room."""
    held = sum(array.nbytes for array in (*first.inputs.values(), *first.whole.values()))
    before = resident_bytes("VmRSS")
    _run(model, samples, 0, _FEW * size, _FEW * size)
    grown = max(resident_bytes("VmRSS") - before, 1) / ((_FEW - 1) * size)
    by_bytes = _MOST_BYTES * size // max(held, 1)
    return min(_LARGEST, by_bytes, int(_MOST_GROWTH_BYTES / grown))


def _same(apart: list[Seen], together: Seen) -> bool:
    if any(one.outputs.keys() != together.outputs.keys() for one in apart):
        return False
    return all(_alike([one.outputs[name] for one in apart], output) for name, output in together.outputs.items())


def _alike(apart: list[np.ndarray], together: np.ndarray) -> bool:
    if any(one.shape[1:] != together.shape[1:] for one in apart):
        return False
    one = np.concatenate(apart)
    if one.dtype.kind not in "fV":
        return bool((one == together).all())
    left, right = one.astype(np.float64), together.astype(np.float64)
    sound = np.isfinite(left)
    if not np.array_equal(left[~sound], right[~sound], equal_nan=True):
        return False
    left, right = left[sound], right[sound]
    return not left.size or bool(np.abs(left - right).max() <= _SAME * np.abs(left).max())
