"""How many samples it would take to prove that a drop stays within its limit; light."""

from __future__ import annotations

import math

from enxuto.judge.paired_score import upper_bound
from enxuto.steps import Drop

_MOST_SAMPLES = 10**7


def samples_to_decide(drop: Drop, limit: float) -> int | None:
    """Smallest number of samples whose upper bound would fall to the limit if the rates seen so far held.

    None where the drop itself is not below the limit, so that more samples are not expected to help, or so close below
    it that no number of samples that anyone has would do.
    """
    if drop.value >= limit:
        return None
    if drop.high <= limit:
        return drop.samples
    if drop.method == "paired_bootstrap":
        shrink = (drop.high - drop.value) / (limit - drop.value)
        enough = drop.samples * shrink * shrink
        return math.ceil(enough) if enough < _MOST_SAMPLES else None
    return _by_score(drop, limit)


def _by_score(drop: Drop, limit: float) -> int | None:
    worse, better = drop.worse / drop.samples, drop.better / drop.samples
    # A relative drop is the share lost over the baseline's metric, which the bound carries along.
    metric = upper_bound(drop.worse, drop.better, drop.samples, drop.confidence) / drop.high

    def proves(count: int) -> bool:
        return upper_bound(worse * count, better * count, count, drop.confidence) <= limit * metric

    short, enough = drop.samples, drop.samples * 2
    while not proves(enough):
        if enough > _MOST_SAMPLES:
            return None
        short, enough = enough, enough * 2
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (short, middle) if proves(middle) else (middle, enough)
    return enough
