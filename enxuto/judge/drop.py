"""How much of the metric was lost against the baseline on the same samples, with one-sided bounds."""

from __future__ import annotations

import math

import numpy as np

from enxuto.errors import BadInput
from enxuto.judge.paired_score import lower_bound, upper_bound
from enxuto.judge.student import NORMAL, expanded_level, t_quantile
from enxuto.steps import Drop

RESAMPLES = 4000
_BOOTSTRAP_FROM = 5
"""Fewer samples cannot bound their own mean by resampling: Student's t is used."""
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
    _check(weight, relative)
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


def _check(weight: np.ndarray, relative: bool) -> None:
    if len(weight) < 2:
        raise BadInput(
            f"{len(weight)} sample carries no interval of the drop",
            code="too_few_samples",
            hint="Give more evaluation samples.",
        )
    if relative and not weight.sum() > 0:
        raise BadInput(
            f"the baseline's metric is {weight.mean():g} over {len(weight)} samples: a drop cannot be a share of it",
            code="metric_is_zero",
            hint="Check that the labels belong to this model, or ask for an absolute drop (relative: false).",
        )


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
    if len(loss) <= _BOOTSTRAP_FROM:
        return value + t_quantile(confidence, len(loss) - 2) * float(influence.std(ddof=1)) / math.sqrt(len(loss) - 1)
    drops = np.sort(_resampled(loss, weight, seed))
    tail = NORMAL.inv_cdf(expanded_level(confidence, len(loss)))
    return float(np.quantile(drops, _bca_level(drops, value, influence, -tail)))


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


def _bca_level(drops: np.ndarray, value: float, influence: np.ndarray, z: float) -> float:
    """Where to cut the sorted drops: bias-corrected and accelerated.

    The acceleration comes from the influence of each sample, which costs no leaving-one-out. Source: Efron, "Better
    Bootstrap Confidence Intervals", JASA 82 (1987), 171–185, section 7.
    """
    share_below = (np.count_nonzero(drops < value) + np.count_nonzero(drops <= value)) / (2 * len(drops))
    bias = NORMAL.inv_cdf(min(max(share_below, 1 / len(drops)), 1 - 1 / len(drops)))
    acceleration = float((influence**3).sum() / (6 * (influence**2).sum() ** 1.5))
    shifted = bias + z
    return NORMAL.cdf(bias + shifted / max(1 - acceleration * shifted, 1e-9))
