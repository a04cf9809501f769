"""Student's t, and the levels at which a bootstrap of few values is to be read; in pure Python, for light modules."""

from __future__ import annotations

import math
from statistics import NormalDist

NORMAL = NormalDist()


def t_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t with a whole number of degrees of freedom, at least 1."""
    if freedom < 1 or not 0 < probability < 1:
        raise ValueError(f"no t quantile at {probability} with {freedom} degrees of freedom")
    if probability < 0.5:
        return -t_quantile(1 - probability, freedom)
    low, high = 0.0, 1.0
    while _t_cdf(high, freedom) < probability:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_cdf(middle, freedom) < probability else (low, middle)
    return high


def expanded_level(confidence: float, count: int) -> float:
    """The tail of a bootstrap distribution of ``count`` values to cut off for one-sided coverage ``confidence``.

    The plain tail, ``1 − confidence``, gives intervals that are too narrow by ``√((n−1)/n) · z/t``. Source: Hesterberg,
    "What Teachers Should Know About the Bootstrap", The American Statistician 69 (2015), expanded percentile interval.
    """
    t = t_quantile(confidence, count - 1)
    return NORMAL.cdf(-math.sqrt(count / (count - 1)) * t)


def _t_cdf(t: float, freedom: int) -> float:
    """The finite series for whole degrees of freedom. Source: Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan2(t, math.sqrt(freedom))
    cosine = math.cos(angle)
    odd = freedom % 2
    term = total = (cosine if freedom > 1 else 0.0) if odd else 1.0
    for k in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    share = 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
    return 0.5 + share / 2
