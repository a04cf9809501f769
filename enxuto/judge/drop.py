"""How much of a metric that is a mean of scores was lost on the same samples, with one-sided bounds."""

from __future__ import annotations

import math

import numpy as np

from enxuto.judge.bounds import BOOTSTRAP_FROM, RESAMPLES, refuse_no_share, refuse_too_few, resampled_level
from enxuto.judge.paired_score import lower_bound, upper_bound
from enxuto.judge.student import t_quantile
from enxuto.steps import Drop

_CHUNK_ELEMENTS = 1 << 20


def paired_drop(
    baseline: np.ndarray,
    candidate: np.ndarray,
    *,
    higher_is_better: bool,
    relative: bool,
    confidence: float,
    seed: int,
) -> Drop:
    """Compare two arrays of scores, one a sample, in the same order.

    Scores that are only ever 0 or 1 get Tango's score interval; a relative bound is its bound over the baseline's
    metric as seen. All others get the bootstrap over samples, where a relative drop is resampled as a ratio. Where
    nothing differs, scores that cannot exceed 1 are taken as the former: a bootstrap would call that certain.

    Right and wrong gets the p-value of McNemar's exact test besides.

    Raises:
        BadInput: too few samples for an interval, or a relative drop from a metric of zero.
    """
    loss = baseline - candidate if higher_is_better else candidate - baseline
    weight = baseline if relative else np.ones_like(baseline)
    refuse_too_few(len(weight))
    refuse_no_share(float(weight.mean()), len(weight), relative)
    worse, better = int(np.count_nonzero(loss > 0)), int(np.count_nonzero(loss < 0))
    value = float(loss.sum() / weight.sum())
    binary = _is_binary(baseline, candidate)
    counted = binary or (higher_is_better and not worse + better)
    if counted:
        scale, counts = float(weight.mean()), (worse, better, len(loss), confidence)
        low, high = lower_bound(*counts) / scale, upper_bound(*counts) / scale
    elif confidence == 0.5:
        low = high = value
    else:
        low = min(value, -_bootstrap_bound(-loss, weight, confidence, seed))
        high = max(value, _bootstrap_bound(loss, weight, confidence, seed))
    return Drop(
        value=value,
        low=low,
        high=high,
        confidence=confidence,
        relative=relative,
        method="paired_score" if counted else "paired_bootstrap",
        samples=len(loss),
        worse=worse,
        better=better,
        p_value=mcnemar(worse, better) if binary else None,
        resamples=None if counted or confidence == 0.5 else RESAMPLES,
    )


def mcnemar(worse: int, better: int) -> float:
    """Two-sided p-value of the exact test that a sample on which two models differ is as likely lost as won.

    Source: McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947), 153–157; exact by the binomial distribution instead of chi-square.
    """
    from scipy.special import bdtr  # scipy.stats, which has the test itself, takes a second to import

    return min(1.0, 2 * float(bdtr(min(worse, better), worse + better, 0.5))) if worse + better else 1.0


def _is_binary(*scores: np.ndarray) -> bool:
    return all(np.isin(array, (0, 1)).all() for array in scores)


def _bootstrap_bound(loss: np.ndarray, weight: np.ndarray, confidence: float, seed: int) -> float:
    """Upper bound of ``sum(loss) / sum(weight)``: the worst sample counts twice, since what is rare hides.

    Without that, losses with a long tail stay above the bound too often; record 11 in docs/decisions has figures.
    """
    worst = int(loss.argmax())
    loss, weight = np.append(loss, loss[worst]), np.append(weight, weight[worst])
    value = float(loss.sum() / weight.sum())
    influence = (loss - value * weight) / weight.mean()
    if not influence.any():
        return value
    if len(loss) <= BOOTSTRAP_FROM:
        return value + t_quantile(confidence, len(loss) - 2) * float(influence.std(ddof=1)) / math.sqrt(len(loss) - 1)
    drops = np.sort(_resampled(loss, weight, seed))
    return float(np.quantile(drops, resampled_level(drops, value, influence, confidence, len(loss))))


def _resampled(loss: np.ndarray, weight: np.ndarray, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_ELEMENTS // len(loss))
    losses, weights = np.empty(RESAMPLES), np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, chunk):
        picked = draw.integers(0, len(loss), (min(chunk, RESAMPLES - start), len(loss)))
        losses[start : start + chunk] = loss[picked].sum(axis=1)
        weights[start : start + chunk] = weight[picked].sum(axis=1)
    defined = weights > 0
    return losses[defined] / weights[defined]
