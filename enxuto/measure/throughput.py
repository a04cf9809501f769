"""What copies of a model carry at the same time: one point of a batching curve, from one fresh process."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain, compress
from pathlib import Path

import numpy as np

from enxuto.dataset import SampleBatches, feeds_for
from enxuto.measure.copies import Copy, Slice, run_together
from enxuto.measure.noise import NoiseWatch
from enxuto.measure.probe import floor_of, is_slow
from enxuto.measure.resident import resident_bytes
from enxuto.runtimes import LoadedModel, load_model
from enxuto.schema import Digest
from enxuto.signature import fixed_batch
from enxuto.steps import CALLS_FOR_P95, MeasureThroughput, Throughput

_CALLS_FILE = "calls.npz"
_LEAST_QUIET_NS = 50_000_000
"""Of a copy's slices: where less was quiet, all count, and the load is known as a disturbed one."""


def measure_throughput(step: MeasureThroughput, files: Mapping[Digest, Path], out: Path) -> Throughput:
    """Load the copies, warm them up, and run them all at the same time.

    Raises:
        BadInput: the model does not load or run.
        OutOfCapacity: the copies need more memory than there is.
    """
    runtime_bytes = resident_bytes("VmRSS")
    models = [_load(step, files) for _ in range(step.instances)]
    copies = [Copy(_call(step, model, files), alone=len(models) == 1) for model in models]
    gc.collect()
    gc.disable()  # for good: this process ends with its step
    watch = NoiseWatch.begin()
    ran = run_together(copies, step.duration_s)
    noise = watch.end()
    floor_ns = floor_of([each.probe_ns for each in chain.from_iterable(ran.slices)])
    crowded = _is_crowded(step)
    quiet = [[_is_quiet(each, floor_ns, crowded) for each in slices] for slices in ran.slices]
    stands = [_stands_for_all(slices, flags) for slices, flags in zip(ran.slices, quiet, strict=True)]
    counted = [
        list(compress(slices, flags)) if enough and not crowded else slices
        for slices, flags, enough in zip(ran.slices, quiet, stands, strict=True)
    ]
    walls = [_all_calls(slices) for slices in counted]
    np.savez(out / _CALLS_FILE, allow_pickle=False, **{str(position): wall for position, wall in enumerate(walls)})
    pooled, flags = np.concatenate(walls), list(chain.from_iterable(quiet))
    batch_size = fixed_batch(models[0].inputs) or step.workload.batch_size
    return Throughput(
        samples_per_s=batch_size * sum(map(_calls_per_s_in_turns if crowded else _calls_per_s, counted)),
        calls=pooled.size,
        p50_ms=float(np.median(pooled)) / 1e6,
        p95_ms=float(np.percentile(pooled, 95)) / 1e6 if pooled.size >= CALLS_FOR_P95 else None,
        cpu_cores=ran.cpu_ns / ran.wall_ns,
        peak_bytes=resident_bytes("VmHWM"),
        runtime_bytes=runtime_bytes,
        probe_us=floor_ns / 1000,
        disturbed=not all(stands),
        noise=noise.model_copy(update={"disturbed_share": 1 - sum(flags) / len(flags)}),
        calls_file=_CALLS_FILE,
    )


def _load(step: MeasureThroughput, files: Mapping[Digest, Path]) -> LoadedModel:
    return load_model(files[step.subject.model], step.subject.settings, step.workload.threads)


def _call(step: MeasureThroughput, model: LoadedModel, files: Mapping[Digest, Path]) -> Callable[[], object]:
    """Each copy has inputs of its own, as it would have where it serves."""
    samples = SampleBatches(step.samples, files, step.preprocessing, model.inputs) if step.samples else None
    return partial(model.run, feeds_for(model.inputs, step.workload, samples, step.seed))


def _is_crowded(step: MeasureThroughput) -> bool:
    """Whether the copies want more cores than there are, so that it is themselves they wait for.

    Between two turns each has a core, and slices without a wait would show what as many cores as copies carry.
    """
    threads = step.subject.settings.threads or step.workload.threads
    return step.instances * threads > len(os.sched_getaffinity(0))


def _is_quiet(each: Slice, floor_ns: float, crowded: bool) -> bool:
    """Whether nobody else used the copy's core, as far as the probe and, where it should not wait, the kernel tell."""
    return (crowded or each.has_its_core) and not is_slow(each.probe_ns, floor_ns)


def _stands_for_all(slices: Sequence[Slice], flags: Sequence[bool]) -> bool:
    """Whether the quiet slices are enough; where they are not, all count."""
    return sum(each.ended_ns - each.begun_ns for each in compress(slices, flags)) >= _LEAST_QUIET_NS


def _all_calls(slices: Sequence[Slice]) -> np.ndarray:
    return np.concatenate([np.asarray(each.wall_ns, dtype=np.int64) for each in slices])


def _calls_per_s(slices: Sequence[Slice]) -> float:
    return sum(len(each.wall_ns) for each in slices) / sum(each.ended_ns - each.begun_ns for each in slices) * 1e9


def _calls_per_s_in_turns(slices: Sequence[Slice]) -> float:
    """From the first slice to the last: a copy whose turn ends between two slices waits there."""
    return sum(len(each.wall_ns) for each in slices) / (slices[-1].ended_ns - slices[0].begun_ns) * 1e9
