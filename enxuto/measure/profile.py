"""Times every node of a model as its runtime runs it, beside calls of the same model that nobody watches.

Blocks of plain and of recorded calls take turns, with the probe between them: what the recording itself costs is seen,
and calls while somebody else used the core do not count.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from enxuto.dataset import SampleBatches, feeds_for
from enxuto.measure.noise import NoiseWatch
from enxuto.measure.operations import count_operations, moved_bytes, output_bytes, precision_of, weight_bytes
from enxuto.measure.origin import FileGraph
from enxuto.measure.probe import CoreProbe, floor_of, is_slow
from enxuto.runtimes import load_model
from enxuto.runtimes.onnxruntime_profile import name_nodes
from enxuto.runtimes.recording import RanNode, Recorder, load_recorder
from enxuto.schema import Digest
from enxuto.steps import ModelProfile, NodeProfile, ProfileModel
from enxuto.words import noisy

_FILE = "profile.json"
_ROUNDS = 12
_MOST_ROUNDS = 30
_WARM_UP_CALLS = 10
_FEWEST_CALLS = 5
"""However long they take."""
_MOST_EVENTS = 40_000
"""What the profiler writes down grows with nodes times calls, and must be read again."""
_SHORTEST_EVENT_S = 3e-6
"""Recording a node takes that long at least: so many may lie in a call whose nodes run in loops."""
_FEWEST_QUIET = 0.5
_LEFT = 0.02
"""Share of a node's recorded time that is its own, at least."""
_HALVINGS = 40


def profile_model(step: ProfileModel, files: Mapping[Digest, Path], out: Path) -> ModelProfile:
    """Raises BadInput: the model does not load or run in this runtime."""
    path, settings, threads = files[step.subject.model], step.subject.settings, step.workload.threads
    plain = load_model(path, settings, threads)
    samples = SampleBatches(step.samples, files, step.preprocessing, plain.inputs) if step.samples else None
    feeds = feeds_for(plain.inputs, step.workload, samples, step.seed)
    with TemporaryDirectory(dir=out) as scratch:
        recorder = load_recorder(path, settings, threads, Path(scratch))
        watch = NoiseWatch.begin()
        rounds = _take_turns(partial(plain.run, feeds), recorder, partial(recorder.run, feeds), step.duration_s)
        quiet = _quiet(rounds)
        noise = watch.end().model_copy(update={"disturbed_share": 1 - sum(quiet) / len(quiet)})
        recording = recorder.end(feeds)
    (out / _FILE).write_text(recording.trace, encoding="utf-8")
    counted = quiet if sum(quiet) >= _ROUNDS * _FEWEST_QUIET else [True] * len(quiet)
    counting = list(compress(rounds, counted))
    call_ms = _median_ms([each.plain_s for each in counting])
    recorded_ms = _median_ms([each.recorded_s for each in counting])
    timed = [(node, origin) for node, origin in _with_origins(recording.nodes, path) if len(node.times_us)]
    times_us = _typical_us([node for node, _ in timed], rounds, counted, recorded_ms * 1000)
    unhindered_ms = _fast_ms([each.plain_s for each in counting]) if noisy(noise) else call_ms
    runs = [node.runs for node, _ in timed]
    recording_us = min(_recording_us(times_us, runs, unhindered_ms * 1000), recording.most_recording_us)
    return ModelProfile(
        call_ms=call_ms,
        recorded_ms=recorded_ms,
        calls=sum(len(each.recorded_s) for each in counting),
        recording_us=recording_us,
        nodes=[
            _node(node, origin, time_us / 1000)
            for (node, origin), time_us in zip(timed, _less(times_us, runs, recording_us), strict=True)
        ],
        noise=noise,
        profile_file=_FILE,
    )


def _recording_us(times_us: Sequence[float], runs: Sequence[float], call_us: float) -> float:
    """What must be taken off each run of a node so that all together take no more than a call that nobody watches.

    Reading the clock and noting shapes takes about as long for each node, however long it takes itself.
    """
    low, high = 0.0, max(times_us, default=0.0)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(_less(times_us, runs, middle)) > call_us else (low, middle)
    return high if sum(times_us) > call_us else 0.0


def _less(times_us: Sequence[float], runs: Sequence[float], recording_us: float) -> list[float]:
    """Something is left of each."""
    return [max(time_us - often * recording_us, _LEFT * time_us) for time_us, often in zip(times_us, runs, strict=True)]


@dataclass(frozen=True)
class _Round:
    """A block of plain calls and one of recorded calls, with probes before, between and after."""

    plain_s: Sequence[float]
    recorded_s: Sequence[float]
    probes_ns: Sequence[float]


def _take_turns(
    plain: Callable[[], object], recorder: Recorder, recorded: Callable[[], object], duration_s: float
) -> list[_Round]:
    """As many rounds as are wanted, and more where some were disturbed and time is left."""
    until = time.perf_counter() + duration_s
    call_s = statistics.median(_block(plain, _WARM_UP_CALLS, duration_s / 10))
    recorded_s = statistics.median(_block(recorded, _WARM_UP_CALLS, duration_s / 10))
    recorder.settle()
    events = max(recorder.nodes, recorded_s / _SHORTEST_EVENT_S if recorder.repeats else 1)
    by_time = duration_s / 2 / (2 * call_s * _ROUNDS)
    by_events = _MOST_EVENTS / events / _MOST_ROUNDS
    calls = max(math.ceil(_FEWEST_CALLS / _ROUNDS), int(min(by_time, by_events)))
    probe, rounds = CoreProbe(), list[_Round]()
    while len(rounds) < _FEWEST_CALLS or (len(rounds) < _MOST_ROUNDS and time.perf_counter() < until):
        rounds.append(_round(probe, plain, recorded, calls))
        if len(rounds) >= _ROUNDS and sum(_quiet(rounds)) >= _ROUNDS:
            break
    return rounds


def _round(
    probe: Callable[[], float], plain: Callable[[], object], recorded: Callable[[], object], calls: int
) -> _Round:
    before = probe()
    plain_s = _block(plain, calls)
    between = probe()
    recorded_s = _block(recorded, calls)
    return _Round(plain_s, recorded_s, [before, between, probe()])


def _block(call: Callable[[], object], calls: int, most_s: float = math.inf) -> list[float]:
    """Seconds of each call; at least one, and none is begun once ``most_s`` are spent."""
    clock, spent = time.perf_counter, list[float]()
    begun = clock()
    for _ in range(calls):
        start = clock()
        call()
        spent.append(clock() - start)
        if clock() - begun > most_s:
            break
    return spent


def _quiet(rounds: Sequence[_Round]) -> list[bool]:
    floor_ns = floor_of([probe for each in rounds for probe in each.probes_ns])
    return [not any(is_slow(probe, floor_ns) for probe in each.probes_ns) for each in rounds]


def _fast_ms(blocks: Sequence[Sequence[float]]) -> float:
    """Of calls that were not put off for other processes, as most long ones are on a busy machine; nodes are not."""
    return float(np.percentile([spent for block in blocks for spent in block], 10)) * 1000


def _median_ms(blocks: Sequence[Sequence[float]]) -> float:
    return statistics.median(spent for block in blocks for spent in block) * 1000


def _typical_us(
    nodes: Sequence[RanNode], rounds: Sequence[_Round], counted: Sequence[bool], recorded_us: float
) -> list[float]:
    """Median of the calls that count, between whole microseconds, which is all that the clocks of runtimes show.

    A runtime that tells a mean only has it made smaller as the median call is shorter than the mean one.
    """
    calls = np.repeat(counted, [len(each.recorded_s) for each in rounds])
    mean_us = statistics.fmean(spent for each in rounds for spent in each.recorded_s) * 1e6
    return [
        statistics.median_grouped(node.times_us[calls].tolist(), interval=1)
        if len(node.times_us) == len(calls)
        else float(node.times_us[0]) * recorded_us / mean_us
        for node in nodes
    ]


@dataclass(frozen=True)
class _Origin:
    names: list[str]
    tensor: str | None


def _with_origins(ran: Sequence[RanNode], path: Path) -> list[tuple[RanNode, _Origin]]:
    """Nodes that took too little to be told have an origin too, which no other may claim."""
    model = onnx.load(path, load_external_data=False)
    name_nodes(model)
    graph = FileGraph(model)
    origins = [_Origin(names, graph.last_tensor(names)) for names in graph.origins(ran)]
    return list(zip(ran, origins, strict=True))


def _node(node: RanNode, origin: _Origin, ms: float) -> NodeProfile:
    return NodeProfile(
        name=node.name,
        op_type=node.op_type,
        origin=origin.names,
        tensor=origin.tensor,
        ms=ms,
        output_bytes=output_bytes(node),
        moved_bytes=moved_bytes(node),
        weight_bytes=weight_bytes(node),
        operations=count_operations(node),
        precision=precision_of(node),
    )
