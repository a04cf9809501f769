"""When queries come: drawn by seed, the same for the simulation of a plan and for the load run that checks it."""

from __future__ import annotations

import numpy as np

_DRAWN_AT_ONCE = 4096


def poisson_ns(rate_per_s: float, duration_s: float, seed: int) -> np.ndarray:
    """Arrivals of a Poisson process within the duration, in nanoseconds (int64); the first one is at zero.

    A longer duration only adds to the end.
    """
    random = np.random.default_rng([seed, 0x5E1F])
    gaps = [random.exponential(1e9 / rate_per_s, _DRAWN_AT_ONCE)]
    gaps[0][0] = 0.0
    while sum(float(drawn.sum()) for drawn in gaps) < duration_s * 1e9:
        gaps.append(random.exponential(1e9 / rate_per_s, _DRAWN_AT_ONCE))
    times = np.cumsum(np.concatenate(gaps))
    return np.asarray(times[times < duration_s * 1e9], dtype=np.int64)
