"""The drop of a metric that is no mean of scores: units are drawn anew for both models, and the metric made of each
draw.

The bounds are those of record 11 in docs/decisions: bias-corrected and accelerated, levels widened for few units, the
unit that lost most counted once more. What a unit contributes is told by leaving it out.
"""

from __future__ import annotations

import math

import numpy as np

from enxuto.judge.bounds import BOOTSTRAP_FROM, RESAMPLES, refuse_no_share, refuse_too_few, resampled_level
from enxuto.judge.student import t_quantile
from enxuto.judge.summary import Summary, value_of
from enxuto.steps import Drop

_MOST_WORK = 1 << 27
"""Numbers that all draws together are brought to: what costs more gets fewer draws."""
_FEWEST_RESAMPLES = 500
_CHUNK_ELEMENTS = 1 << 16
_MOST_LEFT_OUT, _FEWEST_LEFT_OUT = 1000, 100
"""Groups of units that are left out in turn; with more units, several are left out at once."""


def resampled_drop(
    before: Summary,
    after: Summary,
    *,
    higher_is_better: bool,
    relative: bool,
    confidence: float,
    seed: int,
    rows_a_unit: int = 1,
) -> Drop:
    """Compare two summaries of the same units in the same order.

    ``Drop.samples``, ``worse`` and ``better`` count rows: a pair is two.

    Raises:
        BadInput: too few units for an interval, or a relative drop from a metric of zero.
    """
    refuse_too_few(before.count, before.fewest)
    refuse_no_share(value_of(before), before.count, relative)
    losses = before.each() - after.each() if higher_is_better else after.each() - before.each()
    statistic = _Loss(before, after, higher_is_better, relative)
    value = float(statistic.at(np.ones((1, before.count)))[0])
    affordable = _MOST_WORK // (before.work + after.work)
    resamples = max(_FEWEST_RESAMPLES, min(RESAMPLES, affordable))
    low = high = value
    if confidence != 0.5 and np.isfinite(value):
        draws = _Draws(confidence, seed, resamples, max(_FEWEST_LEFT_OUT, min(_MOST_LEFT_OUT, affordable)))
        low = min(value, -draws.bound(statistic.turned(), -losses))
        high = max(value, draws.bound(statistic, losses))
    return Drop(
        value=value,
        low=low,
        high=high,
        confidence=confidence,
        relative=relative,
        method="paired_bootstrap",
        samples=before.count * rows_a_unit,
        worse=int(np.count_nonzero(losses > 0)) * rows_a_unit,
        better=int(np.count_nonzero(losses < 0)) * rows_a_unit,
        resamples=resamples,
    )


class _Loss:
    """What is lost under each row of weights; a metric that has no value is taken for nothing at all."""

    def __init__(
        self, before: Summary, after: Summary, higher_is_better: bool, relative: bool, sign: float = 1
    ) -> None:
        self._of = before, after, higher_is_better, relative
        self._sign = sign

    def turned(self) -> _Loss:
        """The gain."""
        return _Loss(*self._of, -self._sign)

    def at(self, weights: np.ndarray) -> np.ndarray:
        before, after, higher_is_better, relative = self._of
        base = before.at(weights) if relative else np.nan_to_num(before.at(weights))
        lost = base - np.nan_to_num(after.at(weights)) if higher_is_better else after.at(weights) - base
        if relative:
            with np.errstate(invalid="ignore", divide="ignore"):
                lost = np.where(base > 0, lost / base, np.nan)
        found: np.ndarray = self._sign * lost
        return found


class _Draws:
    def __init__(self, confidence: float, seed: int, resamples: int, left_out: int) -> None:
        self._confidence = confidence
        self._seed = seed
        self._resamples = resamples
        self._left_out = left_out

    def bound(self, statistic: _Loss, losses: np.ndarray) -> float:
        """Upper bound of the statistic, the unit with the greatest loss counted twice."""
        count = len(losses)
        worst = int(losses.argmax())
        weights = np.ones(count)
        weights[worst] += 1
        value = float(statistic.at(weights[None])[0])
        influence = self._influence(statistic, weights, value)
        if not influence.any():
            return value
        drops = np.sort(self._resampled(statistic, count, worst)) if count >= BOOTSTRAP_FROM else np.empty(0)
        if 2 * len(drops) < self._resamples:  # few units, or a metric that hardly any draw gives a value
            spread = float(influence.std(ddof=1)) / math.sqrt(len(influence) - 1)
            return value + t_quantile(self._confidence, count - 1) * spread
        return float(np.quantile(drops, resampled_level(drops, value, influence, self._confidence, count + 1)))

    def _influence(self, statistic: _Loss, weights: np.ndarray, value: float) -> np.ndarray:
        """(n − 1) times what changes when a unit is left out, or n/g times when one of g groups is."""
        units = np.repeat(np.arange(len(weights)), weights.astype(int))
        groups = min(len(units), self._left_out)
        mixed = np.random.default_rng(self._seed).permutation(units) if groups < len(units) else units
        found = []
        chunk = max(1, _CHUNK_ELEMENTS // len(weights))
        parts = np.array_split(mixed, groups)
        for start in range(0, groups, chunk):
            left = np.tile(weights, (len(parts[start : start + chunk]), 1))
            for row, part in enumerate(parts[start : start + chunk]):
                np.subtract.at(left[row], part, 1)
            found.append(value - statistic.at(left))
        influence = np.nan_to_num(np.concatenate(found)) * (groups - 1)
        centred: np.ndarray = influence - influence.mean()
        return centred

    def _resampled(self, statistic: _Loss, count: int, worst: int) -> np.ndarray:
        draw = np.random.default_rng(self._seed)
        chunk = max(1, _CHUNK_ELEMENTS // count)
        found = []
        for start in range(0, self._resamples, chunk):
            rows = min(chunk, self._resamples - start)
            picked = draw.integers(0, count + 1, (rows, count + 1))
            picked[picked == count] = worst
            picked += count * np.arange(rows)[:, None]
            weights = np.bincount(picked.reshape(-1), minlength=rows * count).reshape(rows, count)
            found.append(statistic.at(weights.astype(np.float64)))
        drops = np.concatenate(found)
        defined: np.ndarray = drops[np.isfinite(drops)]
        return defined
