"""Judges a comparison along each axis, against what was asked, and as a whole."""

from __future__ import annotations

from enxuto.goal import MaxDrop, Thresholds
from enxuto.judge.speed import speed_verdict
from enxuto.report import Axis, Measurements, Verdict
from enxuto.search.choose import amount, too_wide
from enxuto.search.speed import Conditions, judge_speed
from enxuto.search.verdict import exact
from enxuto.steps import Drop, Estimate


def speed_axis(seen: Measurements, asked: Thresholds, conditions: Conditions) -> Axis:
    """A threshold is passed by what both clocks vouch for.

    Raises ValueError where there is no speedup to judge.
    """
    judged, estimate = judge_speed(seen, conditions), seen.speedup
    assert estimate is not None, "it was judged"  # noqa: S101
    wanted = "" if asked.min_speedup is None else f", at least {asked.min_speedup:g}× is asked"
    doubt = f" ({judged.doubt})" if judged.doubt else ""
    return Axis(
        verdict=judged.verdict,
        passed=None if asked.min_speedup is None else judged.at_least >= asked.min_speedup,
        estimate=estimate,
        detail=f"{estimate.value:.2f}× ({estimate.low:.2f}–{estimate.high:.2f}) as fast{wanted}{doubt}",
    )


def accuracy_axis(drop: Drop | None, asked: Thresholds) -> Axis | None:
    """Null without data; a threshold on accuracy is refused then (see ``resolve_compare``)."""
    if drop is None:
        return None
    verdict: Verdict = "inconclusive"
    limit = asked.max_drop or MaxDrop()
    if drop.high < 0:
        verdict = "improved"
    elif drop.low > (limit.value if asked.max_drop else 0):
        verdict = "regressed"
    elif drop.high <= limit.value:
        verdict = "no_gain"
    return Axis(
        verdict=verdict,
        passed=None if asked.max_drop is None else drop.high <= asked.max_drop.value,
        estimate=Estimate(value=drop.value, low=drop.low, high=drop.high, confidence=2 * drop.confidence - 1),
        detail=_loss(drop, limit, verdict),
    )


def _loss(drop: Drop, limit: MaxDrop, verdict: Verdict) -> str:
    loss = f"loses {amount(drop, drop.value)} ({amount(drop, drop.low)} to {amount(drop, drop.high)})"
    if drop.value < 0:
        loss = f"gains {amount(drop, -drop.value)} ({amount(drop, -drop.high)} to {amount(drop, -drop.low)})"
    if verdict == "inconclusive":
        loss = too_wide(drop, limit.value)
    if drop.p_value is None:
        return loss
    differing = f"{drop.worse:,} samples got worse and {drop.better:,} better"
    return f"{loss}; {differing} (McNemar p = {drop.p_value:.2g})"


def memory_axis(before: Measurements, after: Measurements, asked: Thresholds, margin: float) -> Axis:
    ratio = after.memory_bytes / before.memory_bytes if after.memory_bytes and before.memory_bytes else None
    return _ratio_axis(ratio, asked.max_memory_ratio, "memory", margin)


def size_axis(ratio: float, asked: Thresholds, margin: float) -> Axis:
    return _ratio_axis(ratio, asked.max_size_ratio, "file size", margin)


def _ratio_axis(ratio: float | None, limit: float | None, what: str, margin: float) -> Axis:
    if ratio is None:
        return Axis(
            verdict="inconclusive",
            passed=None if limit is None else False,
            estimate=None,
            detail=f"{what} could not be measured",
        )
    wanted = "" if limit is None else f", at most {limit:g}× is allowed"
    return Axis(
        verdict=speed_verdict(exact(1 / ratio), margin),
        passed=None if limit is None else ratio <= limit,
        estimate=exact(ratio),
        detail=f"{ratio:.2f}× the {what}{wanted}",
    )


def overall(axes: list[Axis]) -> Verdict:
    """The worst of those that something was asked of, of all where nothing was; improved only where none is bad."""
    judged = [axis for axis in axes if axis.passed is not None] or axes
    verdicts = {axis.verdict for axis in judged}
    order: list[Verdict] = ["regressed", "inconclusive", "improved"]
    return next((verdict for verdict in order if verdict in verdicts), "no_gain")


def all_hold(asked: Thresholds, axes: dict[str, Axis], verdict: Verdict) -> bool:
    """Whether every threshold holds; where nothing was asked, whether nothing regressed."""
    judged = [axis.passed for axis in axes.values() if axis.passed is not None]
    return all(judged) if asked != Thresholds() else verdict != "regressed"
