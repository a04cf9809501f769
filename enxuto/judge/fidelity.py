"""How alike a model's outputs are to the original's, added up batch by batch."""

from __future__ import annotations

import math

import numpy as np

from enxuto.judge.scores import is_class_index, same_choice
from enxuto.steps import Fidelity

_LARGEST_DB = 400.0
"""Beyond what float64 can tell apart."""


class FidelityMeter:
    """Sums over all outputs and samples seen so far."""

    def __init__(self) -> None:
        self._same = True
        self._nonfinite = 0
        self._signal = self._noise = self._energy = self._product = 0.0
        self._chosen = self._agreed = 0

    def add(self, output: np.ndarray, original: np.ndarray) -> None:
        """Take in a batch of one output, of the same shape as the original's.

        Elements in which the original is not finite (masks) have no ratio of signal to noise and are left out.
        """
        self._same = self._same and np.array_equal(output, original, equal_nan=True)
        comparable, finite = np.isfinite(original), np.isfinite(output)
        self._nonfinite += int(np.count_nonzero(comparable & ~finite))
        left = np.where(comparable & finite, output, 0).astype(np.float64).ravel()
        right = np.where(comparable, original, 0).astype(np.float64).ravel()
        self._signal += float(right @ right)
        self._energy += float(left @ left)
        self._product += float(left @ right)
        self._noise += float((left - right) @ (left - right))

    def add_choices(self, output: np.ndarray, original: np.ndarray) -> None:
        """Take in a batch of the judged output, where it looks like class scores or a class."""
        if is_class_index(output) or (output.ndim >= 2 and output.shape[-1] >= 2):
            same = same_choice(output, original)
            self._chosen += same.size
            self._agreed += int(np.count_nonzero(same))

    def result(self) -> Fidelity:
        return Fidelity(
            sqnr_db=None if self._same else self._sqnr_db(),
            cosine=self._cosine(),
            agreement=self._agreed / self._chosen if self._chosen else None,
            nonfinite=self._nonfinite,
        )

    def _sqnr_db(self) -> float:
        if not self._noise:
            return _LARGEST_DB
        if not self._signal:
            return -_LARGEST_DB
        return max(-_LARGEST_DB, min(_LARGEST_DB, 10 * (math.log10(self._signal) - math.log10(self._noise))))

    def _cosine(self) -> float:
        if not self._signal or not self._energy:
            return 1.0 if self._signal == self._energy else 0.0
        return max(-1.0, min(1.0, self._product / math.sqrt(self._signal) / math.sqrt(self._energy)))
