"""Sums of U8 × S8 products, exact or with pairs that saturate in 16 bits."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from enxuto.judge.emulate.exact import exact_sums
from enxuto.judge.emulate.products import ACTIVATION, LARGEST, SMALLEST, pairs

_CHUNK_ELEMENTS = 1 << 20
_PAIR_COST = 100
"""What looking at one pair of products costs beside one multiply of a matrix product, about."""


class TooCostlyError(Exception):
    """The multiplies that were allowed are used up."""


@dataclass(frozen=True)
class LoudPairs:
    """Pairs of neighbouring weights that could saturate, sorted by output."""

    pair: np.ndarray
    output: np.ndarray
    weights: np.ndarray
    """int32 [2, pairs]."""

    def among(self, largest: np.ndarray) -> LoudPairs:
        """Those that still could, activations [pairs, 2] being at most so large."""
        reach = largest[self.pair].T
        high = (np.maximum(self.weights, 0) * reach).sum(axis=0) > LARGEST
        low = (np.minimum(self.weights, 0) * reach).sum(axis=0) < SMALLEST
        kept = np.flatnonzero(high | low)
        return LoudPairs(self.pair[kept], self.output[kept], self.weights[:, kept])


def loud_pairs(matrix: np.ndarray) -> LoudPairs:
    """Of int8 [summed, outputs], whatever the activations: positive and negative weights reach apart."""
    paired = pairs(matrix).astype(np.int16)
    high = ACTIVATION * np.maximum(paired, 0).sum(axis=1, dtype=np.int32) > LARGEST
    low = ACTIVATION * np.minimum(paired, 0).sum(axis=1, dtype=np.int32) < SMALLEST
    output, pair = np.nonzero((high | low).T)
    return LoudPairs(pair, output, paired[pair, :, output].T.astype(np.int32))


@dataclass
class Adder:
    """Adds up products as one kind of processor does, keeps count of pairs, and stops before it takes too long."""

    saturate: bool
    multiplies_left: float
    pairs: int = 0
    saturated: int = 0
    _loud: dict[str, LoudPairs] = field(default_factory=dict)

    def sums(
        self, left: np.ndarray, right: np.ndarray, key: str | None = None, *, in_32_bits: bool = False
    ) -> np.ndarray:
        """uint8 [rows, summed] × int8 [summed, outputs] → int64 [rows, outputs].

        Saturating sums are the exact ones plus what clipping changes in the pairs that can reach beyond 16 bits with
        the activations at hand: few, so that this costs little more than the exact product. What is found out about
        weights is kept under ``key``. Sums ``in_32_bits`` are those of operators that never saturate.

        Raises:
            TooCostlyError: the multiplies that were allowed are used up.
        """
        self._spend(left.size * right.shape[1])
        if in_32_bits:
            return exact_sums(left, right)
        self.pairs += len(left) * -(-left.shape[1] // 2) * right.shape[1]
        total = exact_sums(left, right)
        if self.saturate and left.size:
            activations = pairs(np.ascontiguousarray(left.T))
            loud = self._loud_pairs(right, key).among(activations.max(axis=2))
            self._clip(total, activations, loud)
        return total

    def _spend(self, multiplies: float) -> None:
        self.multiplies_left -= multiplies
        if self.multiplies_left < 0:
            raise TooCostlyError

    def _loud_pairs(self, right: np.ndarray, key: str | None) -> LoudPairs:
        if key is None:
            return loud_pairs(right)
        if key not in self._loud:
            self._loud[key] = loud_pairs(right)
        return self._loud[key]

    def _clip(self, total: np.ndarray, activations: np.ndarray, loud: LoudPairs) -> None:
        """Add what clipping changes, ``activations`` being [pairs, 2, rows]."""
        rows = len(total)
        self._spend(_PAIR_COST * len(loud.pair) * rows)
        step = max(1, _CHUNK_ELEMENTS // rows)
        for start in range(0, len(loud.pair), step):
            now = slice(start, start + step)
            weights, output = loud.weights[:, now, None], loud.output[now]
            first, second = activations[loud.pair[now]].swapaxes(0, 1).astype(np.int32)
            added = first * weights[0] + second * weights[1]
            change = added.clip(SMALLEST, LARGEST) - added
            self.saturated += int(np.count_nonzero(change))
            firsts = np.flatnonzero(np.r_[True, output[1:] != output[:-1]])
            total[:, output[firsts]] += np.add.reduceat(change, firsts, axis=0, dtype=np.int64).T
