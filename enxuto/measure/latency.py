"""Times models side by side in one fresh load, and pools the call times of several loads.

Within a load, rounds hold one block of calls of each model, in an order drawn anew each round, and the ratio of a round
comes from neighbors in time: what slows the machine slows both. How the model happens to be loaded stays the same
within a process, so one load gives one ratio, and the interval is made over loads (``judge.speed``).
"""

from __future__ import annotations

import gc
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from enxuto.dataset import SampleBatches, feeds_for
from enxuto.errors import BadInput
from enxuto.measure.blocks import Block, time_block, warm_up
from enxuto.measure.noise import NoiseWatch
from enxuto.runtimes import LoadedModel, load_model
from enxuto.schema import Digest
from enxuto.steps import (
    CALLS_FOR_P95,
    CALLS_FOR_P99,
    LatencyLoad,
    LatencySummary,
    MeasureLatency,
    MeasureMemory,
    Percentiles,
    SummarizeLatency,
    Timing,
)

_WARM_UP_S = 2.0
"""At most, for each model: as long as a hundred calls or more of all but the largest."""
_CALLS_FILE = "calls.npz"


def measure_latency(step: MeasureLatency, files: Mapping[Digest, Path], out: Path) -> LatencyLoad:
    """Load all subjects once and time them.

    Raises:
        BadInput: a subject does not load or run.
    """
    draw = random.Random(f"{step.seed} {step.load}")  # noqa: S311 - order, not secrets
    calls = _load_all(step, files, draw)
    sizes = [warm_up(call, step.block_ms, _WARM_UP_S) for call in calls]
    watch = NoiseWatch.begin()
    with _no_collection():
        rounds = [_time_round(calls, sizes, draw) for _ in range(step.blocks)]
    noise = watch.end()
    walls = [_all_calls(position, rounds) for position in range(len(calls))]
    np.savez(out / _CALLS_FILE, allow_pickle=False, **{str(position): wall for position, wall in enumerate(walls)})
    timings = [_timing(position, rounds, wall) for position, wall in enumerate(walls)]
    return LatencyLoad(timings=timings, noise=noise, calls_file=_CALLS_FILE)


def summarize_latency(step: SummarizeLatency, files: Mapping[Digest, Path], out: Path) -> LatencySummary:
    """Pool the calls of several loads, subject by subject.

    Raises:
        BadInput: the loads do not time the same number of subjects (``calls_do_not_match``).
    """
    loads = [_read_calls(files[digest]) for digest in step.calls]
    counts = {len(load) for load in loads}
    if len(counts) != 1:
        raise BadInput(
            f"the loads time different numbers of models: {sorted(counts)}",
            code="calls_do_not_match",
            hint="Pool only loads that time the same models in the same order.",
        )
    return LatencySummary(subjects=[_percentiles(np.concatenate(walls)) for walls in zip(*loads, strict=True)])


def load_subject(
    step: MeasureLatency | MeasureMemory, model: LoadedModel, files: Mapping[Digest, Path]
) -> Callable[[], object]:
    """One call of a model on one batch of the step's workload."""
    samples = SampleBatches(step.samples, files, step.preprocessing, model.inputs) if step.samples else None
    return partial(model.run, feeds_for(model.inputs, step.workload, samples, step.seed))


def _load_all(step: MeasureLatency, files: Mapping[Digest, Path], draw: random.Random) -> list[Callable[[], object]]:
    """In an order drawn by lot, since who comes first gets another part of memory."""
    calls: dict[int, Callable[[], object]] = {}
    for position in draw.sample(range(len(step.subjects)), k=len(step.subjects)):
        subject = step.subjects[position]
        model = load_model(files[subject.model], subject.runtime, step.workload.threads)
        calls[position] = load_subject(step, model, files)
    return [calls[position] for position in range(len(calls))]


def _time_round(calls: Sequence[Callable[[], object]], sizes: Sequence[int], draw: random.Random) -> list[Block]:
    order = draw.sample(range(len(calls)), k=len(calls))
    blocks = {position: time_block(calls[position], sizes[position]) for position in order}
    return [blocks[position] for position in range(len(calls))]


def _timing(position: int, rounds: Sequence[Sequence[Block]], wall_ns: np.ndarray) -> Timing:
    blocks = [blocks[position] for blocks in rounds]
    return Timing(
        block_medians_ms=[block.median_ms for block in blocks],
        calls=len(wall_ns),
        p50_ms=float(np.median(wall_ns)) / 1e6,
        mean_ms=float(wall_ns.mean()) / 1e6,
        cpu_ms=statistics.median(block.cpu_ms for block in blocks),
        ratio=statistics.median(blocks[0].median_ms / blocks[position].median_ms for blocks in rounds),
        cpu_ratio=statistics.median(blocks[0].cpu_ms / blocks[position].cpu_ms for blocks in rounds),
    )


def _all_calls(position: int, rounds: Sequence[Sequence[Block]]) -> np.ndarray:
    return np.concatenate([np.asarray(blocks[position].wall_ns, dtype=np.int64) for blocks in rounds])


def _read_calls(path: Path) -> list[np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return [arrays[str(position)] for position in range(len(arrays.files))]


def _percentiles(wall_ns: np.ndarray) -> Percentiles:
    def at(percent: float) -> float:
        return float(np.percentile(wall_ns, percent)) / 1e6

    return Percentiles(
        calls=wall_ns.size,
        p50_ms=at(50),
        p95_ms=at(95) if wall_ns.size >= CALLS_FOR_P95 else None,
        p99_ms=at(99) if wall_ns.size >= CALLS_FOR_P99 else None,
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Python's own garbage would be charged to whichever model is running when it is collected."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
