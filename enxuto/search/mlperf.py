"""What MLPerf Inference asks of a run that counts.

Source: MLPerf Inference Rules, https://github.com/mlcommons/inference_policies/blob/master/inference_rules.adoc, as of
July 2026: every run lasts 600 seconds, and is as many queries long as its early-stopping criterion wants. What MLPerf
reports of a latency is that criterion's estimate, which lies somewhat above the percentile; here it is the percentile.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, lgamma, log

LEAST_S = 600.0
_CONFIDENCE = 0.99
"""Of the early-stopping criterion, with a tolerance of zero."""


@dataclass(frozen=True)
class Rule:
    """What a scenario reports, and the shortest run that MLPerf takes for it."""

    figure: str
    percentile: float
    least_s: float
    least_queries: int
    samples_per_query: int | None = 1
    """Null: any."""


RULES: dict[str, Rule] = {
    "single_stream": Rule("p90 latency", 90.0, LEAST_S, 64),
    "multi_stream": Rule("p99 latency", 99.0, LEAST_S, 662, samples_per_query=8),
    "server": Rule("highest rate", 99.0, LEAST_S, 459),
}
"""The fewest queries follow from the early-stopping criterion: with one query beyond the percentile in the first two
scenarios, with none beyond the limit in the last."""


def queries_wanted(percentile: float, over_limit: int) -> int:
    """The fewest queries that show that the percentile holds, when this many went beyond the limit.

    The early-stopping criterion: a system whose percentile is just missed would see as few beyond the limit with a
    probability of at most 1 %.
    """
    share = percentile / 100
    fewest, enough = over_limit, over_limit + 1
    while _chance(enough, over_limit, share) > 1 - _CONFIDENCE:
        fewest, enough = enough, 2 * enough
    while enough - fewest > 1:
        middle = (fewest + enough) // 2
        fewest, enough = (middle, enough) if _chance(middle, over_limit, share) > 1 - _CONFIDENCE else (fewest, middle)
    return enough


def surely_misses(percentile: float, queries: int, over_limit: int) -> bool:
    """Whether so many beyond the limit are not to be explained by chance, with the same confidence."""
    return _chance(queries, over_limit - 1, percentile / 100) >= _CONFIDENCE


def _chance(queries: int, over_limit: int, share: float) -> float:
    """Of at most this many of the queries beyond the limit, when each is with a chance of one less ``share``."""
    return sum(exp(_log_of(queries, beyond, share)) for beyond in range(min(over_limit, queries) + 1))


def _log_of(queries: int, beyond: int, share: float) -> float:
    """Logarithm of the chance of exactly this many; the factors themselves are beyond what a float holds."""
    ways = lgamma(queries + 1) - lgamma(beyond + 1) - lgamma(queries - beyond + 1)
    return ways + beyond * log(1 - share) + (queries - beyond) * log(share)
