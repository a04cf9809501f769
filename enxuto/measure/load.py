"""Sends queries to a model as its users would, and times each from its arrival to its answer.

Open loop: queries are sent at the drawn times, however long the answers take, and latency counts from the drawn time,
so that a generator that is held up hides nothing. Runs end: queries that are not answered some seconds after the last
one was due are given up and count with the time of the whole run, longer than any that was answered.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from enxuto.errors import BadInput
from enxuto.measure.blocks import cpu_time_ns, no_collection
from enxuto.measure.noise import NoiseWatch
from enxuto.measure.queries import LoadedCopies, load_copies
from enxuto.measure.quiet import QuietWatch, quiet_part
from enxuto.measure.resident import resident_bytes
from enxuto.runtimes import LoadedModel
from enxuto.schema import Digest
from enxuto.serving.arrivals import poisson_ns
from enxuto.serving.batcher import Array, Batch, DynamicBatcher, Full, wait_precisely
from enxuto.serving.latencies import latency_profile, percentile_ms
from enxuto.steps import MOST_QUERIES, BatchCount, LoadRun, OneByOne, Poisson, RunLoad

_MOST_WAITING = 100_000
"""Queries behind the batcher: a run that has more is overloaded, and the rest of it is not sent."""
_GRACE_S = 1.0
_GRACE_CALLS = 5
"""How long answers are waited for after the last query was due: a second, or five calls of the largest batch."""
_LATENCIES_FILE = "latencies.npz"
_YIELD_NS = 20_000
"""Waits shorter than this are not worth a sleep, which ends about as late."""


def run_load(step: RunLoad, files: Mapping[Digest, Path], out: Path) -> LoadRun:
    """Load the model, warm it up, send queries, and wait for their answers.

    ``OneByOne`` has no use for ``batching``: a query is one call of one copy, with all of its samples.

    Raises:
        BadInput: the model does not load or run, takes no such batches, or the run is too large (``load_too_large``).
    """
    match step.arrivals:
        case OneByOne(samples_per_query=samples):
            copies = _copies(step, files, 1, samples)
            copies.warm_up([samples])
            return _found(step, files, copies, _one_by_one(step, copies, samples), out)
        case Poisson(rate_per_s=rate):
            if rate * step.duration_s > MOST_QUERIES:
                raise BadInput(
                    f"{rate:g} queries a second for {step.duration_s:g} s are more than {MOST_QUERIES:,}.",
                    code="load_too_large",
                    hint="Ask for a lower rate or a shorter run.",
                )
            copies = _copies(step, files, step.batching.instances, step.batching.max_batch)
            copies.warm_up(range(1, step.batching.max_batch + 1))
            return _found(step, files, copies, _open_loop(step, copies, rate), out)


@dataclass
class Log:
    """What is written down while the clock runs; times in nanoseconds from the first arrival on."""

    arrival_ns: np.ndarray
    sent_ns: np.ndarray
    called_ns: np.ndarray
    returned_ns: np.ndarray
    answered_ns: np.ndarray
    """Zero where there was no answer."""
    begun_ns: int = 0
    batches: list[tuple[int, int]] = field(default_factory=list)
    """Size, and how long the model ran."""
    error: Exception | None = None
    quiet: QuietWatch = field(default_factory=QuietWatch)
    noise: NoiseWatch = field(default_factory=NoiseWatch.begin)
    cpu_ns: int = field(default_factory=cpu_time_ns)
    wall_ns: int = field(default_factory=time.perf_counter_ns)

    @classmethod
    def of(cls, arrival_ns: np.ndarray) -> Log:
        sent, called, returned, answered = (np.zeros(arrival_ns.size, np.int64) for _ in range(4))
        return cls(arrival_ns, sent, called, returned, answered)

    def observe(self, batch: Batch) -> None:
        self.called_ns[batch.positions] = batch.called_ns - self.begun_ns
        self.returned_ns[batch.positions] = batch.returned_ns - self.begun_ns
        self.answered_ns[batch.positions] = batch.answered_ns - self.begun_ns
        self.batches.append((len(batch.positions), batch.returned_ns - batch.called_ns))

    def watched(self, model: LoadedModel) -> _Watched:
        return _Watched(model, self)


@dataclass(frozen=True)
class _Watched:
    """A copy whose failure ends the run."""

    model: LoadedModel
    log: Log

    def __call__(self, feeds: dict[str, Array]) -> list[Array]:
        try:
            return self.model.run(feeds)
        except Exception as error:
            self.log.error = error
            raise


def _copies(step: RunLoad, files: Mapping[Digest, Path], instances: int, largest: int) -> LoadedCopies:
    return load_copies(
        step.subject,
        step.workload,
        step.samples,
        step.preprocessing,
        files,
        instances=instances,
        largest=largest,
        seed=step.seed,
    )


def _open_loop(step: RunLoad, copies: LoadedCopies, rate_per_s: float) -> Log:
    arrivals = poisson_ns(rate_per_s, step.duration_s, step.seed)
    grace_s = _grace_s(copies, step.batching.max_batch)
    log = Log.of(arrivals)
    batcher = DynamicBatcher(
        [log.quiet.probed(log.watched(model)) for model in copies.models],
        step.batching.max_batch,
        step.batching.max_delay_ms,
        limit=_MOST_WAITING,
        fixed_batch=copies.fixed_batch,
        observe=log.observe,
    )
    with no_collection(), log.quiet:
        until_ns = round((step.duration_s + grace_s) * 1e9)
        send(log, batcher, copies, until_ns)
        while not log.error and log.answered_ns.min() == 0 and _now(log) < until_ns and not _idle(log, batcher):
            time.sleep(0.01)
        batcher.close(cancel=True)
    if log.error:
        raise log.error
    return log


def send(log: Log, batcher: DynamicBatcher, copies: LoadedCopies, until_ns: int) -> None:
    """Send every query when it is due, or as soon after as can be; stops when overloaded, out of time, or failed."""
    wait_precisely()
    queries, count, clock = copies.queries, len(copies.queries), time.perf_counter_ns
    log.begun_ns = begun = clock()
    for position, due in enumerate(log.arrival_ns.tolist()):
        left = due - (clock() - begun)
        if left > _YIELD_NS:
            time.sleep(left / 1e9)
        now = clock() - begun
        if now > until_ns or log.error:
            return
        log.sent_ns[position] = now
        try:
            batcher.submit(queries[position % count])
        except Full:
            return


def _one_by_one(step: RunLoad, copies: LoadedCopies, samples: int) -> Log:
    run, feeds, clock = copies.models[0].run, copies.batch(samples), time.perf_counter_ns
    starts, ends = list[int](), list[int]()
    watch, noise, cpu = QuietWatch(), NoiseWatch.begin(), cpu_time_ns()
    with no_collection(), watch:
        begun = clock()
        until = begun + round(step.duration_s * 1e9)
        while not ends or (ends[-1] < until and len(ends) < MOST_QUERIES):
            starts.append(clock())
            run(feeds)
            ends.append(clock())
    arrival, answered = np.asarray(starts, np.int64) - begun, np.asarray(ends, np.int64) - begun
    batches = [(samples, int(took)) for took in answered - arrival]
    return Log(arrival, arrival, arrival, answered, answered, begun, batches, None, watch, noise, cpu, begun)


def _found(step: RunLoad, files: Mapping[Digest, Path], copies: LoadedCopies, log: Log, out: Path) -> LoadRun:
    wall_ns, cpu_ns = time.perf_counter_ns() - log.wall_ns, cpu_time_ns() - log.cpu_ns
    noise = log.noise.end()
    answered = log.answered_ns > 0
    if not answered.any():
        raise BadInput(
            f"not one of {answered.size:,} queries was answered within {step.duration_s:g} s.",
            code="nothing_answered",
            hint="Ask for a longer run, or for a model that answers within it.",
        )
    end_ns = int(log.answered_ns.max())
    latencies = np.where(answered, log.answered_ns - log.arrival_ns, max(end_ns, round(step.duration_s * 1e9)))
    np.savez(
        out / _LATENCIES_FILE,
        allow_pickle=False,
        arrival_ns=log.arrival_ns,
        sent_ns=log.sent_ns,
        called_ns=np.where(answered, log.called_ns, -1),
        returned_ns=np.where(answered, log.returned_ns, -1),
        answered_ns=np.where(answered, log.answered_ns, -1),
        quiet=_undisturbed(log),
    )
    samples = step.arrivals.samples_per_query if isinstance(step.arrivals, OneByOne) else 1
    sizes, took = np.asarray(log.batches, np.int64).T
    per_s = float(answered.sum()) / (end_ns / 1e9)
    return LoadRun(
        latency=latency_profile(latencies),
        unanswered=int((~answered).sum()),
        duration_s=end_ns / 1e9,
        queries_per_s=per_s,
        samples_per_s=per_s * samples,
        batches=batch_counts(sizes),
        mean_wait_ms=float((log.called_ns - log.arrival_ns)[answered].mean()) / 1e6,
        utilization=min(1.0, float(took.sum()) / (end_ns * len(copies.models))),
        cpu_cores=cpu_ns / wall_ns,
        peak_bytes=resident_bytes("VmHWM"),
        sent_late_ms=_sent_late_ms(log),
        noise=noise,
        quiet=quiet_part(
            *(log.quiet, log.begun_ns + log.arrival_ns, latencies), files[step.simulated] if step.simulated else None
        ),
        percentile_ms=percentile_ms(latencies, step.percentile),
        over_limit=None if step.limit_ms is None else int((latencies > step.limit_ms * 1e6).sum()),
        latencies_file=_LATENCIES_FILE,
    )


def batch_counts(sizes: np.ndarray) -> list[BatchCount]:
    found, counts = np.unique(sizes, return_counts=True)
    return [BatchCount(size=int(size), count=int(count)) for size, count in zip(found, counts, strict=True)]


def _undisturbed(log: Log) -> np.ndarray:
    """Whether nobody else was around when a query was due, and when the model was called with it."""
    calm: np.ndarray = log.quiet.quiet(log.begun_ns + log.arrival_ns, 0) & log.quiet.quiet(
        log.begun_ns + log.called_ns, 0
    )
    return calm


def _sent_late_ms(log: Log) -> float:
    sent = (log.sent_ns > 0) | (log.arrival_ns == 0)
    return float(np.percentile((log.sent_ns - log.arrival_ns)[sent], 99)) / 1e6


def _grace_s(copies: LoadedCopies, largest: int) -> float:
    begun = time.perf_counter()
    copies.models[0].run(copies.batch(largest))
    return max(_GRACE_S, _GRACE_CALLS * (time.perf_counter() - begun))


def _now(log: Log) -> int:
    return time.perf_counter_ns() - log.begun_ns


def _idle(log: Log, batcher: DynamicBatcher) -> bool:
    """Whether all that was sent is answered: the rest never will be."""
    sent = (log.sent_ns > 0).sum()
    return batcher.waiting == 0 and int((log.answered_ns > 0).sum()) >= sent
