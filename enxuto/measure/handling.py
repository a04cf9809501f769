"""Measures what a batcher adds to a model's calls, so that a simulation can count it in.

Bursts are sent to the very batcher that serves: after a pause, as many queries at once as fill two rounds of batches.
The first round shows how long idle threads take to wake and how much slower a call is after a pause, the second one how
soon a batch follows another. In between, calls in a tight loop give what all of it is compared with, at the same time
and in the same process, so that the luck of loading and a slower core cancel. Each row of a table is one event:

- ``tight``: size, call
- ``first``, ``second``: copies that ran, size, pause, wake (last query sent until the model is called; of the second
  round, one batch answered until the model is called with the next), call, answer (returned until answered)
- ``late``: whether all copies were running, how late a sender that slept woke, in a load run at half of what they carry
- ``send``: queries, time to submit them one after the other
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from enxuto.measure.blocks import no_collection
from enxuto.measure.load import Log, send
from enxuto.measure.noise import NoiseWatch
from enxuto.measure.queries import LoadedCopies, load_copies
from enxuto.schema import Digest
from enxuto.serving.arrivals import poisson_ns
from enxuto.serving.batcher import Batch, DynamicBatcher, wait_precisely
from enxuto.steps import Handling, MeasureHandling

PAUSES_NS = (100_000, 500_000, 2_500_000, 12_500_000)
_FEWEST_ROUNDS = 4
_TIGHT_CALLS = 3
_HANDLING_FILE = "handling.npz"
_LOAD_SHARE = 0.3
"""Of the time, for the load run."""
_LOADED = 0.5
_AROUND_A_CALL_NS = 100_000
_MOST_WAITING = 10_000
_FULL_MS = 60_000.0
"""Of waiting for a full batch: all of them are, since bursts are whole batches."""


def measure_handling(step: MeasureHandling, files: Mapping[Digest, Path], out: Path) -> Handling:
    """Send bursts of every size after every pause, in an order drawn anew each round, until the time is spent.

    Raises:
        BadInput: the model does not load or run, or takes no such batches.
    """
    copies = load_copies(
        step.subject,
        step.workload,
        step.samples,
        step.preprocessing,
        files,
        instances=step.instances,
        largest=max(step.batch_sizes),
        seed=step.seed,
    )
    copies.warm_up(step.batch_sizes)
    draw = random.Random(f"{step.seed} {step.load}")  # noqa: S311 - order, not secrets
    bench = _Bench(copies, step.seed)
    cells = [(busy, size, pause) for busy in {1, step.instances} for size in step.batch_sizes for pause in PAUSES_NS]
    watch = NoiseWatch.begin()
    with no_collection():
        until, rounds = time.perf_counter() + step.duration_s * (1 - _LOAD_SHARE), 0
        while rounds < _FEWEST_ROUNDS or time.perf_counter() < until:
            for busy, size, pause in draw.sample(cells, k=len(cells)):
                bench.measure(busy, size, pause)
            rounds += 1
        bench.close()
        bench.load(step.duration_s * _LOAD_SHARE)
    noise = watch.end()
    tables = {name: np.asarray(rows, np.int64) for name, rows in bench.tables.items()}
    np.savez(out / _HANDLING_FILE, allow_pickle=False, **tables)
    first, tight = tables["first"], tables["tight"]
    lone = first[(first[:, 0] == 1) & (first[:, 1] == min(step.batch_sizes))]
    return Handling(
        threads=step.workload.threads,
        instances=step.instances,
        batch_sizes=step.batch_sizes,
        wake_us=float(np.median(lone[:, 3])) / 1e3,
        answer_us=float(np.median(lone[:, 5])) / 1e3,
        cold_ratio=float(
            np.median(lone[lone[:, 2] == max(PAUSES_NS), 4]) / np.median(tight[tight[:, 0] == min(step.batch_sizes), 1])
        ),
        noise=noise,
        handling_file=_HANDLING_FILE,
    )


@dataclass
class _Bench:
    """One batcher for every number of copies and size of batch, on the same loaded models."""

    copies: LoadedCopies
    seed: int
    tables: dict[str, list[tuple[int, ...]]] = field(
        default_factory=lambda: {"tight": [], "first": [], "second": [], "late": [], "send": []}
    )
    _batchers: dict[tuple[int, int], DynamicBatcher] = field(default_factory=dict)
    _seen: list[Batch] = field(default_factory=list)

    def measure(self, busy: int, size: int, pause_ns: int) -> None:
        clock = time.perf_counter_ns
        self._tight(size)
        batcher = self._batcher(busy, size)
        wait_precisely()
        self._seen.clear()
        time.sleep(pause_ns / 1e9)
        queries = self.copies.queries
        count = 2 * busy * size
        futures = []
        begun = sent = clock()
        for position in range(count):
            if position == size - 1:
                sent = clock()
            futures.append(batcher.submit(queries[position % len(queries)]))
        futures[-1].result()
        while len(self._seen) < 2 * busy:  # batches are told of just after their queries are answered
            time.sleep(0.0001)
        if size > 1:
            self.tables["send"].append((size - 1, sent - begun))
        self._note(busy, size, pause_ns, sent)

    def _note(self, busy: int, size: int, pause: int, sent: int) -> None:
        seen = sorted(self._seen, key=lambda batch: batch.called_ns)
        first, second = seen[:busy], seen[busy:]
        one = first[0]
        self.tables["first"].append((busy, size, pause, one.called_ns - sent, *_took(one)))
        for before, batch in zip(sorted(each.answered_ns for each in first), second, strict=True):
            if batch.called_ns > before:
                self.tables["second"].append((busy, size, 0, batch.called_ns - before, *_took(batch)))

    def _tight(self, size: int) -> None:
        feeds, run, clock = self.copies.batch(size), self.copies.models[0].run, time.perf_counter_ns
        run(feeds)
        took = []
        for _ in range(_TIGHT_CALLS):
            begun = clock()
            run(feeds)
            took.append(clock() - begun)
        self.tables["tight"] += [(size, each) for each in took]

    def load(self, duration_s: float) -> None:
        """Send single queries at random times, as a load run does, and note how late."""
        copies, tight = self.copies, np.asarray(self.tables["tight"])
        call_ns = float(np.median(tight[tight[:, 0] == tight[:, 0].min(), 1])) + _AROUND_A_CALL_NS
        log = Log.of(poisson_ns(_LOADED * len(copies.models) / call_ns * 1e9, duration_s, self.seed))
        runs = [model.run for model in copies.models]
        largest = int(tight[:, 0].max())
        with DynamicBatcher(
            runs, largest, limit=_MOST_WAITING, fixed_batch=copies.fixed_batch, observe=log.observe
        ) as batcher:
            send(log, batcher, copies, round(2 * duration_s * 1e9))
        sent = log.answered_ns > 0
        due, late = log.arrival_ns[sent], (log.sent_ns - log.arrival_ns)[sent]
        slept = np.diff(log.sent_ns[sent], prepend=-1) > late
        running = np.searchsorted(np.sort(log.called_ns[sent]), due) - np.searchsorted(
            np.sort(log.answered_ns[sent]), due
        )
        busy = running >= len(copies.models)
        self.tables["late"] = [(int(was), int(took)) for was, took in zip(busy[slept], late[slept], strict=True)]

    def _batcher(self, busy: int, size: int) -> DynamicBatcher:
        if (busy, size) not in self._batchers:
            runs = [model.run for model in self.copies.models[:busy]]
            self._batchers[busy, size] = DynamicBatcher(
                runs, size, _FULL_MS, fixed_batch=self.copies.fixed_batch, observe=self._seen.append
            )
        return self._batchers[busy, size]

    def close(self) -> None:
        for batcher in self._batchers.values():
            batcher.close()


def _took(batch: Batch) -> tuple[int, int]:
    return batch.returned_ns - batch.called_ns, batch.answered_ns - batch.returned_ns
