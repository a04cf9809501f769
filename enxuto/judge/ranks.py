"""Spearman's rank correlation, of many weightings of the same pairs at once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


class RankCorrelation:
    """Units are pairs of a number and its label. Equal values share the mean of their ranks.

    A pair that counts w times takes w places in the order, all of which share their mean rank: that is the correlation
    of the sample in which it stands w times. Values are sorted once, so that a weighting costs no sorting.
    """

    fewest = 4

    def __init__(self, units: np.ndarray) -> None:
        self._numbers, self._labels = _Ranks(units[:, 0]), _ranks_of_labels(units[:, 1].tobytes())
        self.count = len(units)
        self.work = 8 * self.count

    def at(self, weights: np.ndarray) -> np.ndarray:
        left, right = self._numbers.centred(weights), self._labels.centred(weights)
        heavy = left * weights
        together = np.einsum("ij,ij->i", heavy, right)
        squares = np.einsum("ij,ij->i", heavy, left) * self._labels.squares(weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            correlations: np.ndarray = together / np.sqrt(squares)
        return correlations

    def each(self) -> np.ndarray:
        """1 − 6d²/(n² − 1), d between the two ranks of a pair: their mean is the correlation, where nothing ties."""
        one = np.ones((1, self.count))
        distances = self._numbers.centred(one)[0] - self._labels.centred(one)[0]
        shares: np.ndarray = 1 - 6 * distances**2 / max(self.count**2 - 1, 1)
        return shares


class _Ranks:
    def __init__(self, values: np.ndarray) -> None:
        self._order = np.argsort(values, kind="stable")
        ordered = values[self._order]
        first = np.r_[True, ordered[1:] != ordered[:-1]]
        self._ends = np.r_[np.flatnonzero(first)[1:], len(values)] - 1
        """Position in the order of the last of each group of equals."""
        self._group = np.empty(len(values), dtype=np.intp)
        self._group[self._order] = np.cumsum(first) - 1

    def centred(self, weights: np.ndarray) -> np.ndarray:
        """Ranks [r, units] less their mean."""
        ends = np.cumsum(weights.take(self._order, axis=1, mode="clip"), axis=1)[:, self._ends]
        middles = ends.copy()
        middles[:, 1:] += ends[:, :-1]
        middles -= ends[:, -1:]
        middles *= 0.5
        ranks: np.ndarray = middles.take(self._group, axis=1, mode="clip")
        return ranks


class _SharedRanks(_Ranks):
    """Those of labels, which two models have in common: of the weights that came last they are kept."""

    _weights: np.ndarray | None = None
    _kept: np.ndarray
    _squares: np.ndarray

    def centred(self, weights: np.ndarray) -> np.ndarray:
        if weights is not self._weights:
            self._kept, self._weights = super().centred(weights), weights
            self._squares = np.einsum("ij,ij,ij->i", self._kept, self._kept, weights)
        return self._kept

    def squares(self, weights: np.ndarray) -> np.ndarray:
        """Their weighted sum of squares [r]."""
        self.centred(weights)
        return self._squares


@lru_cache(maxsize=2)
def _ranks_of_labels(labels: bytes) -> _SharedRanks:
    return _SharedRanks(np.frombuffer(labels, dtype=np.float64))
