"""Spearman's rank correlation, of many weightings of the same pairs at once."""

from __future__ import annotations

import numpy as np


class RankCorrelation:
    """Units are pairs of a number and its label. Equal values share the mean of their ranks.

    A pair that counts w times takes w places in the order, all of which share their mean rank: that is the correlation
    of the sample in which it stands w times. Values are sorted once, so that a weighting costs no sorting.
    """

    fewest = 4

    def __init__(self, units: np.ndarray) -> None:
        self._numbers, self._labels = _Ranks(units[:, 0]), _Ranks(units[:, 1])
        self.count = len(units)
        self.work = 8 * self.count

    def at(self, weights: np.ndarray) -> np.ndarray:
        left, right = self._numbers.centred(weights), self._labels.centred(weights)
        heavy = left * weights
        together = np.einsum("ij,ij->i", heavy, right)
        left_square = np.einsum("ij,ij->i", heavy, left)
        right_square = np.einsum("ij,ij,ij->i", right, right, weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            correlations: np.ndarray = together / np.sqrt(left_square * right_square)
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
        ends = np.cumsum(weights[:, self._order], axis=1)[:, self._ends]
        middles = ends.copy()
        middles[:, 1:] += ends[:, :-1]
        middles -= ends[:, -1:]
        middles *= 0.5
        ranks: np.ndarray = middles[:, self._group]
        return ranks
