"""What every bound of a drop by resampling has in common."""

from __future__ import annotations

import numpy as np

from enxuto.errors import BadInput
from enxuto.judge.student import NORMAL, expanded_level

RESAMPLES = 4000
BOOTSTRAP_FROM = 5
"""Fewer samples cannot bound their own mean by resampling: Student's t is used."""


def refuse_too_few(count: int, fewest: int = 2) -> None:
    if count < fewest:
        raise BadInput(
            f"{count} sample{'s' * (count != 1)} carr{'y' if count != 1 else 'ies'} no interval of the drop",
            code="too_few_samples",
            hint="Give more evaluation samples.",
        )


def refuse_no_share(value: float, count: int, relative: bool) -> None:
    """A drop can be told as a share of something above zero alone."""
    if relative and not value > 0:
        raise BadInput(
            f"the baseline's metric is {value:g} over {count} samples: a drop cannot be a share of it",
            code="metric_is_zero",
            hint="Check that the labels belong to this model, or ask for an absolute drop (relative: false).",
        )


def resampled_level(drops: np.ndarray, value: float, influence: np.ndarray, confidence: float, count: int) -> float:
    """Where to cut the sorted drops: bias-corrected and accelerated, and wider for few samples.

    The acceleration comes from the influence of each sample. Source: Efron, "Better Bootstrap Confidence Intervals",
    JASA 82 (1987), 171–185, section 7.
    """
    z = -NORMAL.inv_cdf(expanded_level(confidence, count))
    share_below = (np.count_nonzero(drops < value) + np.count_nonzero(drops <= value)) / (2 * len(drops))
    bias = NORMAL.inv_cdf(min(max(share_below, 1 / len(drops)), 1 - 1 / len(drops)))
    acceleration = float((influence**3).sum() / (6 * (influence**2).sum() ** 1.5))
    shifted = bias + z
    return NORMAL.cdf(bias + shifted / max(1 - acceleration * shifted, 1e-9))
