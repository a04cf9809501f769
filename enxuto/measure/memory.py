"""Resident memory of a fresh process that loads one model and runs it, and what it went to.

Runtimes hardly tell what they hold (ONNX Runtime only in a profile, which takes memory itself; OpenVINO not at all), so
that it is read from outside, the same for every runtime: what of the C library's heap is in use, and what the kernel
counts as resident, before and after the model is loaded, and before and after it is called.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from enxuto.dataset import SampleBatches, feeds_for
from enxuto.measure.footprint import Footprint
from enxuto.measure.resident import resident_bytes
from enxuto.runtimes import load_model
from enxuto.schema import Digest
from enxuto.settings import RunSettings
from enxuto.steps import MeasureMemory, MemoryUse
from enxuto.workload import Workload

_STILL_CALLS = 5
"""In a row without growth: memory grows with the first calls, while the runtime learns what it needs."""
_GROWTH_BYTES = 1 << 18
"""Less may be how the kernel counts."""
_FEWEST_CALLS, _MOST_CALLS, _LONGEST_S = 3, 200, 30.0
_RELU = bytes.fromhex(
    "08083a350a0e0a0178120179220452656c753a001201675a0f0a0178120a0a08080112040a020801620f0a0179120a0a08080112040a020801"
    "42040a001011"
)
"""A model of one node, ``g (float[1] x) => (float[1] y) { y = Relu(x) }``: the onnx package, which could make it, would
take memory itself."""


def measure_memory(step: MeasureMemory, files: Mapping[Digest, Path], out: Path) -> MemoryUse:
    """Load a model and run it until memory stands still.

    Raises:
        BadInput: the subject does not load or run.
        OutOfCapacity: it asked for more memory than there is.
        StepCrashed: the kernel does not say how much memory this process has.
    """
    path, settings, threads = files[step.subject.model], step.subject.settings, step.workload.threads
    _start_runtime(settings, threads)
    started = Footprint.read()
    model = load_model(path, settings, threads)
    loaded = Footprint.read()
    samples = SampleBatches(step.samples, files, step.preprocessing, model.inputs) if step.samples else None
    feeds = feeds_for(model.inputs, step.workload, samples, step.seed)
    ready = Footprint.read()
    _call_until_still(partial(model.run, feeds))
    steady = Footprint.read()
    inputs, shapes = model.inputs, {name: array.shape for name, array in feeds.items()}
    del model, feeds  # makes room for the prediction
    from enxuto.measure.activations import predict_activations  # now: onnx would count as memory of the runtime

    prediction = predict_activations(path, settings, inputs, shapes)
    return MemoryUse(
        peak_bytes=steady.peak_bytes,
        runtime_bytes=started.resident_bytes,
        loaded_bytes=loaded.resident_bytes,
        steady_bytes=steady.resident_bytes,
        weights_bytes=loaded.heap_since(started),
        arena_bytes=steady.in_use_since(ready),
        predicted_activation_bytes=prediction.highest_bytes,
        not_predicted=prediction.why_not,
    )


def _start_runtime(settings: RunSettings, threads: int) -> None:
    """Run a model that is nothing, so that what any model takes is not charged to this one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "relu.onnx"
        path.write_bytes(_RELU)
        model = load_model(path, settings, threads)
        model.run(feeds_for(model.inputs, Workload(), None, seed=0))


def _call_until_still(call: Callable[[], object]) -> None:
    highest, still, calls, began = 0, 0, 0, time.monotonic()
    while still < _STILL_CALLS and calls < _MOST_CALLS:
        call()
        calls += 1
        now = resident_bytes("VmRSS")
        highest, still = (now, 0) if now > highest + _GROWTH_BYTES else (highest, still + 1)
        if calls >= _FEWEST_CALLS and time.monotonic() - began > _LONGEST_S:
            return
