"""What a metric makes of its units: a sample, or the two rows of a pair, is a unit, with a row of numbers each.

A summary is computed for whole tables of weights at once, how often each unit counts: that is what resampling needs.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Summary(Protocol):
    """A metric over units."""

    @property
    def fewest(self) -> int:
        """Units that an interval takes at least."""
        ...

    @property
    def count(self) -> int:
        """Units."""
        ...

    @property
    def work(self) -> int:
        """Numbers that one row of weights has to be brought to."""
        ...

    def at(self, weights: np.ndarray) -> np.ndarray:
        """Weights [r, units], whole numbers as floats, to the metric of each row [r]; NaN where there is none."""
        ...

    def each(self) -> np.ndarray:
        """What each unit has to show by itself [units], in the metric's unit and direction: it names the worst."""
        ...


def value_of(summary: Summary) -> float:
    """The metric over all units, each counted once."""
    return float(summary.at(np.ones((1, summary.count)))[0])


class Mean:
    """Of one score a unit."""

    fewest = 2

    def __init__(self, scores: np.ndarray) -> None:
        self._scores = np.asarray(scores)
        self.count = self.work = len(self._scores)

    def at(self, weights: np.ndarray) -> np.ndarray:
        means: np.ndarray = weights @ self._scores / weights.sum(axis=1)
        return means

    def each(self) -> np.ndarray:
        return self._scores


class ExponentialOfMean:
    """Of sums and the number of things that were summed, two columns: perplexity."""

    fewest = 2

    def __init__(self, units: np.ndarray) -> None:
        self._units = np.asarray(units)
        self.count = self.work = len(self._units)

    def at(self, weights: np.ndarray) -> np.ndarray:
        return _exponential(weights @ self._units)

    def each(self) -> np.ndarray:
        """Units without anything to sum are 1: nothing was unexpected."""
        alone: np.ndarray = np.nan_to_num(_exponential(self._units), nan=1.0)
        return alone


def _exponential(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        result: np.ndarray = np.minimum(np.exp(sums[:, 0] / sums[:, 1]), np.finfo(np.float64).max)
    return result


class Decibels:
    """10 · log10(1 / mean) of errors that are shares of the peak: PSNR over all samples."""

    fewest = 2

    def __init__(self, errors: np.ndarray, ceiling_db: float) -> None:
        self._errors = np.asarray(errors)
        self._ceiling_db = ceiling_db
        self.count = self.work = len(self._errors)

    def at(self, weights: np.ndarray) -> np.ndarray:
        return decibels(weights @ self._errors / weights.sum(axis=1), self._ceiling_db)

    def each(self) -> np.ndarray:
        return decibels(self._errors, self._ceiling_db)


def decibels(errors: np.ndarray, ceiling_db: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        ratios: np.ndarray = np.minimum(-10 * np.log10(errors), ceiling_db)
    return ratios
