"""Tells whether somebody else uses the core that measures.

A processor's core is often shared: by hyperthreads of other guests, which no counter in a guest shows. It then runs
some kernels at half their speed and others hardly slower, for tenths of a second up to seconds, so that a *ratio* of
two models depends on when it was taken. A product of two small matrices keeps the same units busy as a model does and
always takes the same time on a core of one's own: it is timed between the blocks, and rounds in which it was slow do
not count. What counts is chosen by the probe and never by the models' own times, so that it favors none.
Record 21 in docs/decisions shows what it finds.

It runs on one core, that of the thread that calls a model. Who disturbs the other threads of a call shows in the spread
of rounds and loads, and in the host's pressure, but sets nothing aside: probes on several cores at once would have to
wake threads and wait for each other, which takes longer than they do.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import numpy as np

SLOW = 1.06
"""Times of the fastest: on a quiet core nine probes of ten lie within 4 %."""
_SIDE = 64
"""Fits into the first cache, and is too small for a threaded library to split."""
_PRODUCTS = 21


class CoreProbe:
    """About a tenth of a millisecond of arithmetic."""

    def __init__(self) -> None:
        self._matrix = np.full((_SIDE, _SIDE), 0.5, np.float32)
        self._product = np.empty_like(self._matrix)

    def __call__(self) -> float:
        """Median nanoseconds of a product."""
        clock, matrix, product = time.perf_counter_ns, self._matrix, self._product
        spent = []
        for _ in range(_PRODUCTS):
            begun = clock()
            np.matmul(matrix, matrix, out=product)
            spent.append(clock() - begun)
        return statistics.median(spent)


def floor_of(probes: Sequence[float]) -> float:
    """What a probe takes on a core of one's own: fast enough that one of ten is faster."""
    return float(np.percentile(probes, 10))


def is_slow(probe_ns: float, floor_ns: float) -> bool:
    return probe_ns > SLOW * floor_ns
