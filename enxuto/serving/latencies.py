"""What the latencies of many queries come to."""

from __future__ import annotations

import numpy as np

from enxuto.steps import LatencyProfile

_FEWEST_BEYOND = 10
"""Queries beyond a percentile, for it to say anything."""


def latency_profile(latencies_ns: np.ndarray) -> LatencyProfile:
    """Mean and percentiles, as far as the number of queries carries them."""

    return LatencyProfile(
        queries=latencies_ns.size,
        mean_ms=float(latencies_ns.mean()) / 1e6,
        p50_ms=float(np.median(latencies_ns)) / 1e6,
        p90_ms=percentile_ms(latencies_ns, 90),
        p95_ms=percentile_ms(latencies_ns, 95),
        p99_ms=percentile_ms(latencies_ns, 99),
        p999_ms=percentile_ms(latencies_ns, 99.9),
    )


def percentile_ms(latencies_ns: np.ndarray, percent: float) -> float | None:
    """None where fewer than ten queries lie beyond it."""
    carried = latencies_ns.size * (100 - percent) >= 100 * _FEWEST_BEYOND - 1e-6
    return float(np.percentile(latencies_ns, percent)) / 1e6 if carried else None


def p95_ms(latencies_ns: np.ndarray) -> float:
    """However few there are: to steer a search, never to report."""
    return float(np.percentile(latencies_ns, 95)) / 1e6
