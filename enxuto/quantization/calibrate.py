"""One pass over calibration samples, in memory that grows neither with their number nor with the model's tensors.

The model runs on a batch at a time with the tensors of interest as further outputs. A batch is as large as its tensors
fit into the memory set aside for them; where those of one sample do not, they are fetched in several runs of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx_ir as ir

from enxuto.dataset import SampleBatches
from enxuto.errors import BadInput, NotApplicable
from enxuto.graph.edit import Editor
from enxuto.graph.feeds import filled, samples_in
from enxuto.graph.file import read_model
from enxuto.graph.inner import exposed
from enxuto.graph.loaded import load_edited
from enxuto.graph.normalize import normalized
from enxuto.quantization.observe import Observer
from enxuto.quantization.points import Points, points_of, prepared
from enxuto.quantization.random_samples import RandomSamples
from enxuto.quantization.statistics import Statistics
from enxuto.runtimes.onnxruntime import OnnxRuntimeModel
from enxuto.schema import Digest
from enxuto.signature import fixed_batch
from enxuto.steps import Calibrated, CalibrateModel
from enxuto.techniques.base import Batches, Context

STATISTICS_FILE = "statistics.npz"
_MEMORY_BYTES = 64 << 20
"""For the tensors of one run."""
_LARGEST_BATCH = 64
MOST_SAMPLES = 128
"""More of them change outputs by less than other samples do; see docs/decisions/0033."""


def calibrate_model(step: CalibrateModel, files: Mapping[Digest, Path], out: Path) -> Calibrated:
    """Raises BadInput where the model does not run on the samples, or cannot be edited."""
    source = files[step.model]
    inputs = OnnxRuntimeModel(source, threads=1).inputs
    samples: Batches = (
        SampleBatches(step.samples, files, step.preprocessing, inputs)
        if step.samples
        else RandomSamples(inputs, step.workload, step.preprocessing, step.seed)
    )
    with TemporaryDirectory() as scratch:
        context = Context(Path(scratch), step.seed, samples, frozenset(), step.workload)
        original = read_model(source)
        try:
            model = prepared(original, context)
        except NotApplicable:  # not for static INT8, then; other methods may want figures all the same
            model = normalized(original)
        found = observe(model, points_of(model), samples, context, random=step.samples is None)
    found.write(out / STATISTICS_FILE)
    return Calibrated(file=STATISTICS_FILE, tensors=len(found.tensors), samples=found.samples, random=found.random)


def observe(
    model: ir.Model, points: Points, batches: Batches, context: Context, *, histograms: bool = True,
    random: bool = False,
) -> Statistics:  # fmt: skip
    """Figures of the named tensors over the first samples, up to ``MOST_SAMPLES``.

    Raises:
        NotApplicable: there is no sample (``calibration_data_missing``).
        BadInput: the model does not run on them.
    """
    if batches.count == 0:
        raise NotApplicable(
            "There are no calibration samples to take ranges from.",
            code="calibration_data_missing",
            hint="Give a dataset with at least one sample.",
        )
    watched = _Watched(model, list(points), context)
    observers = {name: Observer(axis, histogram=histograms) for name, axis in points.items()}
    seen = 0
    for feeds, samples in watched.batches(batches, context):
        for name, values in watched.tensors(feeds):
            if values.dtype == np.float32:
                observers[name].add(values)
        seen += samples
    results = {name: observer.result() for name, observer in observers.items()}
    taken = {name: one for name, one in results.items() if one.extremes or one.not_finite}
    return Statistics(taken, seen, random)


@dataclass(frozen=True)
class _Run:
    """Tensors that are fetched together."""

    names: list[str]


class _Watched:
    """A model whose inner tensors can be fetched, a few at a time."""

    def __init__(self, model: ir.Model, names: Sequence[str], context: Context) -> None:
        fed = {str(value.name) for value in model.graph.inputs}
        self._fed = [name for name in names if name in fed]
        handing_out, self._fetched, self._shapes = _with_outputs(model, [name for name in names if name not in fed])
        self._loaded = load_edited(handing_out, context.scratch)
        self._runs = [_Run(self._fetched)]

    def tensors(self, feeds: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
        """One by one, so that those of one run can be let go before the next."""
        for name in self._fed:
            yield name, feeds[name]
        for run in self._runs:
            if run.names:
                yield from zip(run.names, self._loaded.run(feeds, names=run.names), strict=True)

    def batches(self, batches: Batches, context: Context) -> Iterator[tuple[Mapping[str, np.ndarray], int]]:
        """What to run on, and how many new samples are in it."""
        fixed = fixed_batch(self._loaded.inputs)
        try:
            size = self._plan(filled(next(iter(batches(1))), fixed) if fixed else next(iter(batches(1))), fixed)
        except BadInput:
            if fixed or context.workload.batch_size == 1:
                raise
            fixed = context.workload.batch_size  # declared open, but runs at one size only
            size = self._plan(filled(next(iter(batches(1))), fixed), fixed)
        for feeds in islice(batches(size), -(-MOST_SAMPLES // size)):
            yield (filled(feeds, fixed) if fixed else feeds), samples_in(feeds) or size

    def _plan(self, feeds: Mapping[str, np.ndarray], fixed: int | None) -> int:
        """Samples in a batch; tensors of one that do not fit into the memory are fetched in several runs."""
        arrays = self._loaded.run(feeds, names=self._shapes) if self._shapes else []
        needed = [4 * math.prod(int(axis) for axis in shape) for shape in arrays]
        self._runs = [_Run([])]
        held = 0
        for name, size in zip(self._fetched, needed, strict=True):
            if held + size > _MEMORY_BYTES and self._runs[-1].names:
                self._runs.append(_Run([]))
                held = 0
            self._runs[-1].names.append(name)
            held += size
        return fixed or min(max(_MEMORY_BYTES // max(sum(needed), 1), 1), _LARGEST_BATCH)


def _with_outputs(model: ir.Model, names: Sequence[str]) -> tuple[ir.Model, list[str], list[str]]:
    """A copy with inner tensors, and the shape of each, as further outputs, and the names of both."""
    copy = exposed(model, names)
    values = {output.name: output for node in copy.graph for output in node.outputs}
    editor = Editor(copy.graph)
    fetched, shapes = [], []
    for name in names:
        value = values.get(name)
        if value is None:
            continue
        shape = editor.node("Shape", [value], f"{name}_shape")
        shape.outputs[0].type = ir.TensorType(ir.DataType.INT64)
        copy.graph.append(shape)
        copy.graph.outputs.append(shape.outputs[0])
        fetched.append(name)
        shapes.append(str(shape.outputs[0].name))
    return copy, fetched, shapes
