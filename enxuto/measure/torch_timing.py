"""Times calls by PyTorch's own clockwork, ``torch.utils.benchmark``: for whoever compares with what its users measure.

It sets the number of threads, leaves out the first calls, and gathers blocks of calls until enough time went by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch.utils.benchmark import Timer


@dataclass(frozen=True)
class TorchTiming:
    median_ms: float
    """Of the blocks' mean times of a call."""
    iqr_ms: float
    """Between the quartiles of the blocks."""
    calls: int
    steady: bool
    """Whether PyTorch takes the spread for small enough to trust the median."""


def time_by_torch(call: Callable[[], object], *, threads: int = 1, least_s: float = 0.2) -> TorchTiming:
    """Time a call of any runtime for at least this long. PyTorch runs with ``threads``, other runtimes as loaded."""
    timer = Timer("call()", globals={"call": call}, num_threads=threads)
    found = timer.blocked_autorange(min_run_time=least_s)
    return TorchTiming(
        median_ms=found.median * 1000,
        iqr_ms=found.iqr * 1000,
        calls=found.number_per_run * len(found.times),
        steady=not found.has_warnings,
    )
