"""Times models side by side in one fresh load, and pools the call times of several loads.

Within a load, rounds hold one block of calls of each model, in an order drawn anew each round, and the ratio of a round
comes from neighbors in time: what slows the machine slows both. What slows one model more than another is somebody else
on the same core, and rounds in which a probe between the blocks shows that do not count. What is left, such as where in
memory a model came to lie, stays the same within a process, so one load gives one ratio, and the interval is made over
loads (``judge.speed``).
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from pathlib import Path

import numpy as np

from enxuto.dataset import SampleBatches, feeds_for
from enxuto.errors import BadInput
from enxuto.measure.blocks import Block, no_collection, time_block, warm_up
from enxuto.measure.noise import NoiseWatch
from enxuto.measure.probe import CoreProbe, floor_of, is_slow
from enxuto.runtimes import LoadedModel, load_model
from enxuto.schema import Digest
from enxuto.steps import (
    CALLS_FOR_P95,
    CALLS_FOR_P99,
    Histogram,
    LatencyLoad,
    LatencySummary,
    MeasureLatency,
    Percentiles,
    SummarizeLatency,
    Timing,
)

_WARM_UP_S = 1.0
"""At most, for each model: as long as fifty calls or more of all but the largest."""
_FEWEST_ROUNDS = 5
"""However long they last: the median of fewer says little."""
_CALLS_FILE = "calls.npz"
_FEWEST_QUIET = 0.5
"""Share of the rounds wanted: where fewer were quiet, all count, and the load is known as a disturbed one."""
_BINS = 40


def measure_latency(step: MeasureLatency, files: Mapping[Digest, Path], out: Path) -> LatencyLoad:
    """Load all subjects once and time them.

    Raises:
        BadInput: a subject does not load or run.
    """
    draw = random.Random(f"{step.seed} {step.load}")  # noqa: S311 - order, not secrets
    calls = _load_all(step, files, draw)
    sizes = [warm_up(call, step.block_ms, _WARM_UP_S) for call in calls]
    watch = NoiseWatch.begin()
    with no_collection():
        rounds = _time_rounds(step, partial(_time_round, calls, sizes, CoreProbe(), draw))
    noise = watch.end()
    quiet = _quiet(rounds)
    counted = _counted(quiet, step.rounds)
    walls = [_all_calls(position, rounds, counted) for position in range(len(calls))]
    np.savez(out / _CALLS_FILE, allow_pickle=False, **{str(position): wall for position, wall in enumerate(walls)})
    return LatencyLoad(
        timings=[_timing(position, rounds, counted, wall) for position, wall in enumerate(walls)],
        counted=counted,
        probe_us=min(_floors(rounds)) / 1000,
        noise=noise.model_copy(update={"disturbed_share": 1 - sum(quiet) / len(quiet)}),
        calls_file=_CALLS_FILE,
    )


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


def load_subject(step: MeasureLatency, model: LoadedModel, files: Mapping[Digest, Path]) -> Callable[[], object]:
    """One call of a model on one batch of the step's workload."""
    samples = SampleBatches(step.samples, files, step.preprocessing, model.inputs) if step.samples else None
    return partial(model.run, feeds_for(model.inputs, step.workload, samples, step.seed))


def _load_all(step: MeasureLatency, files: Mapping[Digest, Path], draw: random.Random) -> list[Callable[[], object]]:
    """In an order drawn by lot, since who comes first gets another part of memory."""
    calls: dict[int, Callable[[], object]] = {}
    for position in draw.sample(range(len(step.subjects)), k=len(step.subjects)):
        subject = step.subjects[position]
        model = load_model(files[subject.model], subject.settings, step.workload.threads)
        calls[position] = load_subject(step, model, files)
    return [calls[position] for position in range(len(calls))]


@dataclass(frozen=True)
class _Round:
    """A block of each subject, side by side in time, and a probe after each."""

    blocks: Sequence[Block]
    probes_ns: Sequence[float]
    """In the order of the subjects."""
    last: int
    """Whose block came last: its probe tells of the beginning of the next round too."""


def _time_rounds(step: MeasureLatency, time_round: Callable[[], _Round]) -> list[_Round]:
    """As many as are wanted, more where some were disturbed, and fewer where that many would take too long."""
    rounds: list[_Round] = []
    until = time.perf_counter() + step.budget_s
    while len(rounds) < step.most_rounds:
        rounds.append(time_round())
        if len(rounds) >= _FEWEST_ROUNDS and time.perf_counter() >= until:
            break
        if len(rounds) >= step.rounds and sum(_quiet(rounds)) >= step.rounds:
            break
    return rounds


def _floors(rounds: Sequence[_Round]) -> list[float]:
    """Of the probes after each subject: some leave the core slower behind them than others, and none may pay for it."""
    return [floor_of(probes) for probes in zip(*(each.probes_ns for each in rounds), strict=True)]


def _quiet(rounds: Sequence[_Round]) -> list[bool]:
    """Of each round, whether neither its own probes nor the one right before it were slow."""
    floors = _floors(rounds)
    slow = [[is_slow(*pair) for pair in zip(each.probes_ns, floors, strict=True)] for each in rounds]
    before = [False, *(probes[each.last] for each, probes in zip(rounds, slow, strict=True))]
    return [not any(probes) and not earlier for probes, earlier in zip(slow, before, strict=False)]


def _counted(quiet: Sequence[bool], wanted: int) -> list[bool]:
    """The quiet rounds; all of them, where too few were quiet to stand for the load."""
    enough = sum(quiet) >= min(wanted, len(quiet)) * _FEWEST_QUIET
    return list(quiet) if enough else [True] * len(quiet)


def _time_round(
    calls: Sequence[Callable[[], object]], sizes: Sequence[int], probe: Callable[[], float], draw: random.Random
) -> _Round:
    order = draw.sample(range(len(calls)), k=len(calls))
    blocks, probes = {}, {}
    for position in order:
        blocks[position] = time_block(calls[position], sizes[position])
        probes[position] = probe()
    positions = range(len(calls))
    return _Round([blocks[each] for each in positions], [probes[each] for each in positions], order[-1])


def _timing(position: int, rounds: Sequence[_Round], counted: Sequence[bool], wall_ns: np.ndarray) -> Timing:
    counting = [each.blocks for each in compress(rounds, counted)]
    return Timing(
        block_medians_ms=[each.blocks[position].median_ms for each in rounds],
        calls=len(wall_ns),
        p50_ms=float(np.median(wall_ns)) / 1e6,
        mean_ms=float(wall_ns.mean()) / 1e6,
        cpu_ms=_cpu_ms(position, counting),
        ratio=statistics.median(blocks[0].median_ms / blocks[position].median_ms for blocks in counting),
        cpu_ratio=_cpu_ms(0, counting) / _cpu_ms(position, counting),
    )


def _cpu_ms(position: int, rounds: Sequence[Sequence[Block]]) -> float:
    """Of a call, over all rounds together: threads other than the calling one may be counted in ticks of 4 ms."""
    blocks = [each[position] for each in rounds]
    return sum(block.cpu_ns for block in blocks) / sum(len(block.wall_ns) for block in blocks) / 1e6


def _all_calls(position: int, rounds: Sequence[_Round], counted: Sequence[bool]) -> np.ndarray:
    blocks = [each.blocks[position] for each in compress(rounds, counted)]
    return np.concatenate([np.asarray(block.wall_ns, dtype=np.int64) for block in blocks])


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
        histogram=histogram(wall_ns),
    )


def histogram(times_ns: np.ndarray) -> Histogram:
    """Forty bins over all but the slowest hundredth, which the last one takes whole.

    Each is wider than the one before by the same factor: where calls were disturbed some take ten times as long, and
    bins of one width would press the rest into the first.
    """
    highest = np.percentile(times_ns, 99)
    lowest = max(1, min(times_ns.min(), highest))
    edges = np.geomspace(lowest, max(highest, lowest * 1.001 + 1), _BINS + 1)
    counts, _ = np.histogram(np.clip(times_ns, edges[0], edges[-1]), bins=edges)
    return Histogram(edges_ms=[float(edge) / 1e6 for edge in edges], counts=[int(count) for count in counts])
