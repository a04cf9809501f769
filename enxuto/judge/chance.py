"""How likely a drop that was seen on some samples is to be proven within its limit on others; light.

A forecast, which says what is worth a look and proves nothing.
"""

from __future__ import annotations

import math

from enxuto.judge.student import NORMAL
from enxuto.steps import Drop


def chance_of_proof(drop: Drop, limit: float, samples: int, confidence: float) -> float:
    """Probability that the upper bound at ``confidence`` on so many other samples is within the limit.

    The spread of a sample's loss follows from how wide the bound seen is, by Wilson's formula for scores of 0 and 1 and
    by the normal distribution for others; both the drop seen and the one to be seen vary by it.
    """
    if not samples or drop.confidence <= 0.5 or confidence <= 0.5:
        return float(drop.value <= limit)
    counted = drop.method == "paired_score"
    seen_z, asked_z = NORMAL.inv_cdf(drop.confidence), NORMAL.inv_cdf(confidence)
    reach = max(drop.high - drop.value, 0.0)
    variance = max(drop.samples * (reach / seen_z) ** 2 - (reach if counted else 0.0), 0.0)
    bound = drop.value + _reach(variance, asked_z, samples, counted)
    if counted:
        variance += 1 / drop.samples  # what was seen on no sample may still be there
    spread = math.sqrt(variance / drop.samples + variance / samples)
    return NORMAL.cdf((limit - bound) / spread) if spread else float(bound <= limit)


def _reach(variance: float, z: float, samples: int, counted: bool) -> float:
    """From an estimate to its bound."""
    middle = z * z / (2 * samples) if counted else 0.0
    return middle + math.sqrt(middle * middle + z * z * variance / samples)
