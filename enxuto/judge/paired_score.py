"""Tango's asymptotic score interval for the difference of two proportions seen on the same samples; light.

Source: Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
design", Statistics in Medicine 17 (1998), 891–908. Only samples that the two models score differently say something:
``worse`` of them lost and ``better`` of them won, of ``samples`` in all. Counts may be fractions, for planning.
"""

from __future__ import annotations

import math

from enxuto.judge.student import NORMAL


def upper_bound(worse: float, better: float, samples: float, confidence: float) -> float:
    """One-sided upper bound of the share lost, ``(worse − better) / samples``; at 0.5 that share itself."""
    estimate = (worse - better) / samples
    z = NORMAL.inv_cdf(confidence)
    if z == 0 or estimate == 1:
        return estimate
    low, high = estimate, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _score(middle, worse, better, samples) > -z else (low, middle)
    return high


def lower_bound(worse: float, better: float, samples: float, confidence: float) -> float:
    """One-sided lower bound of the share lost."""
    return -upper_bound(better, worse, samples, confidence)


def _score(loss: float, worse: float, better: float, samples: float) -> float:
    """Score statistic of the hypothesis that the true share lost is ``loss``; falls as ``loss`` grows."""
    linear = -worse - better + (2 * samples - worse + better) * loss
    constant = -better * loss * (1 - loss)
    won = (math.sqrt(max(linear * linear - 8 * samples * constant, 0.0)) - linear) / (4 * samples)
    variance = samples * (2 * won + loss * (1 - loss))
    difference = worse - better - samples * loss
    if variance <= 0:
        return math.copysign(math.inf, difference) if difference else 0.0
    return difference / math.sqrt(variance)
