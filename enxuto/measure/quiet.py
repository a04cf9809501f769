"""Tells in which moments of a run its threads had the cores that they wanted, and when somebody else had them.

A load run cannot be cut into slices as calls in a loop can: it is watched from beside instead, and each query is told
whether it fell into a quiet moment. That is decided by the kernel's count of how long threads stood ready without a
core, by a probe of the core right after a call of the model now and then, and by when the query was due; never by how
long it took.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np

from enxuto.measure.probe import CoreProbe, floor_of, is_slow
from enxuto.measure.run_queue import RunQueue
from enxuto.serving.latencies import percentile_ms
from enxuto.steps import QuietPart

Feeds = TypeVar("Feeds")
Outputs = TypeVar("Outputs")
_SLICE_S = 0.02
_MOST_WAITED = 0.05
"""Share of a slice, of all threads together, beyond what they wait for each other."""
_FOR_EACH_OTHER = 0.2
"""At most; what they wait in the quietest tenth of the slices is taken for that."""
_PILED_UP = 3
"""Times the 95th percentile of the latency."""
_PROBE_EVERY_NS = 25_000_000


class QuietWatch:
    """Watches all threads that there are when it begins, until it is left."""

    def __init__(self) -> None:
        self._at_ns: list[int] = []
        self._waited_ns: list[int] = []
        self._probes: list[tuple[int, float]] = []
        self._left = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> QuietWatch:
        self._thread.start()
        self._begun.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join()

    def _watch(self) -> None:
        with closing(RunQueue(of_all_threads=True)) as queue:
            self._look(queue)
            self._begun.set()
            while not self._left.wait(_SLICE_S):
                self._look(queue)
            self._look(queue)

    def _look(self, queue: RunQueue) -> None:
        self._at_ns.append(time.perf_counter_ns())
        self._waited_ns.append(queue.waited_ns())

    def probed(self, run: Callable[[Feeds], Outputs]) -> Callable[[Feeds], Outputs]:
        """The same, and a probe after a call now and then: on the model's own core, for a tenth of a millisecond."""
        probe, due = CoreProbe(), [0]

        def call(feeds: Feeds) -> Outputs:
            outputs = run(feeds)
            if (now := time.perf_counter_ns()) > due[0]:
                self._probes.append((now, probe()))
                due[0] = now + _PROBE_EVERY_NS
            return outputs

        return call

    @property
    def probe_us(self) -> float | None:
        """What the probe took when it was quick."""
        return floor_of([took for _, took in self._probes]) / 1000 if self._probes else None

    def _slow(self) -> Iterator[tuple[int, int]]:
        """From the probe before a slow one until the one after it: what lies between was not looked at."""
        probes = sorted(self._probes)
        floor = floor_of([took for _, took in probes]) if probes else 0.0
        for position, (at, took) in enumerate(probes):
            if is_slow(took, floor):
                after = probes[position + 1][0] if position + 1 < len(probes) else at
                yield probes[max(position - 1, 0)][0] + 1, after - 1 if after > at else at

    def quiet(self, at_ns: np.ndarray, around_ns: float) -> np.ndarray:
        """Whether no slice was disturbed from so long before these times (``perf_counter_ns``) until so long after."""
        edges = np.asarray(self._at_ns)
        waited = np.diff(self._waited_ns) / np.diff(edges)
        disturbed = waited > _MOST_WAITED + min(float(np.percentile(waited, 10)), _FOR_EACH_OTHER)
        for begun, ended in self._slow():
            first, last = np.clip(np.searchsorted(edges, (begun, ended)) - 1, 0, disturbed.size - 1)
            disturbed[first : last + 1] = True
        before = np.concatenate([[0], np.cumsum(disturbed)])
        first = np.clip(np.searchsorted(edges, at_ns - around_ns, side="right") - 1, 0, disturbed.size)
        last = np.clip(np.searchsorted(edges, at_ns + around_ns, side="left"), 0, disturbed.size)
        calm: np.ndarray = before[last] == before[first]
        return calm


def quiet_part(watch: QuietWatch, due_ns: np.ndarray, latencies_ns: np.ndarray, simulated: Path | None) -> QuietPart:
    """Measured and simulated latencies of the very same queries: due when nobody else had been around for so long that
    what had piled up was answered."""
    calm = watch.quiet(due_ns, 0)
    around_ns = _PILED_UP * float(np.percentile(latencies_ns[calm], 95)) if calm.any() else 0.0
    quiet = watch.quiet(due_ns, around_ns)
    expected = None
    if simulated is not None and quiet.any():
        with np.load(simulated, allow_pickle=False) as raw:
            expected = percentile_ms(raw["latency_ns"][quiet], 95)
    return QuietPart(
        share=float(quiet.mean()),
        p95_ms=percentile_ms(latencies_ns[quiet], 95) if quiet.any() else None,
        simulated_p95_ms=expected,
        probe_us=watch.probe_us,
    )
