"""How surely a metric is known from so many samples: the original's scores, drawn anew at sizes that double."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from enxuto.judge.scoring import summarize
from enxuto.judge.summary import Summary, value_of
from enxuto.metric import Metric
from enxuto.steps import MetricPoint

_FIRST = 8
_DRAWS, _FEWEST_DRAWS = 200, 40
_MOST_WORK = 1 << 25
"""Numbers that the draws of one size are brought to: what costs more gets fewer of them."""
_CHUNK_ELEMENTS = 1 << 20
_ENDS = (0.05, 0.95)


def curve(metric: Metric, units: np.ndarray, labels: np.ndarray | None, rows_a_unit: int) -> list[MetricPoint]:
    """Of all units that there are, with and below that; samples are drawn with replacement.

    ``units`` are what the original's evaluation left, one for each sample or pair; points count samples.
    """
    summary = summarize(metric, units, labels)
    if summary.count < max(2, summary.fewest):
        return []
    points = [_point(summary, size, rows_a_unit) for size in _sizes(summary)]
    return [point for point in points if point is not None]


def _sizes(summary: Summary) -> Iterator[int]:
    size = max(_FIRST, 1 << (summary.fewest - 1).bit_length())
    while size < summary.count:
        yield size
        size *= 2
    yield summary.count


def _point(summary: Summary, size: int, rows_a_unit: int) -> MetricPoint | None:
    """None where hardly a draw has a value, as the rank correlation of equal labels has none."""
    values = np.concatenate([summary.at(weights) for weights in _weights(summary, size)])
    values = values[np.isfinite(values)]
    if len(values) < _FEWEST_DRAWS // 2:
        return None
    low, high = (float(end) for end in np.quantile(values, _ENDS))
    value = value_of(summary) if size == summary.count else float(np.median(values))
    return MetricPoint(samples=size * rows_a_unit, value=value, low=min(low, value), high=max(high, value))


def _weights(summary: Summary, size: int) -> Iterator[np.ndarray]:
    """How often each unit is drawn [draws, units], a few draws at a time."""
    random = np.random.default_rng(size)
    left = max(_FEWEST_DRAWS, min(_DRAWS, _MOST_WORK // max(1, summary.work)))
    step = max(1, _CHUNK_ELEMENTS // summary.count)
    while left > 0:
        draws = min(left, step)
        drawn = random.integers(0, summary.count, (draws, size)) + summary.count * np.arange(draws)[:, None]
        counts = np.bincount(drawn.reshape(-1), minlength=draws * summary.count)
        yield counts.reshape(draws, summary.count).astype(np.float64)
        left -= draws
