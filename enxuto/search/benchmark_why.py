"""What a benchmark found, in a few sentences."""

from __future__ import annotations

from collections.abc import Sequence

from enxuto.report import Knee, LargestBatch, Point, ScenarioResult
from enxuto.search.plan import StopReason
from enxuto.search.ways import Way
from enxuto.words import factor, milliseconds, settings_words, significant

_STOPPED: dict[StopReason, str] = {"deadline": "the deadline came", "cancelled": "it was cancelled"}
_MOST_TOLD = 3
"""Ways to run the model beside the best one."""


def told(
    points: Sequence[Point],
    knees: Sequence[Knee],
    largest: Sequence[LargestBatch],
    scenario: ScenarioResult | None,
    plan_why: str,
    stopped: StopReason | None,
) -> str:
    parts = _curves_words([point for point in points if point.outcome == "measured"], knees)
    parts += [f"{settings_words(each.settings)}: {each.detail}" for each in largest]
    parts += [text for text in (scenario.detail if scenario else "", plan_why) if text]
    parts += _failures_words(points)
    if stopped:
        kept = "what had been measured until then is here" if parts else "nothing had been measured"
        parts.append(f"It ended early: {_STOPPED[stopped]}, and {kept}.")
    return " ".join(parts)


def _curves_words(measured: Sequence[Point], knees: Sequence[Knee]) -> list[str]:
    """The best way in full, the others in a number each."""
    ways = sorted({_way(point) for point in measured}, key=lambda way: -_rate(_best(measured, way)))
    if not ways:
        return []
    first, *others = ways
    found = [_best_words(measured, first)]
    found += _knee_words(knees, first)
    if others:
        more = "; ".join(f"{way}: {_most(_best(measured, way))}" for way in others[:_MOST_TOLD])
        unsaid = len(others) - _MOST_TOLD
        found.append(f"{more}{f'; and {unsaid} more' if unsaid > 0 else ''}.")
    if alike := [way for way in others if _may_carry_as_much(_best(measured, way), _best(measured, first))]:
        found.append(f"By their intervals, as much may be carried by: {'; '.join(map(str, alike[:_MOST_TOLD]))}.")
    return found


def _may_carry_as_much(other: Point, best: Point) -> bool:
    """Whether it is not shown that the best carries more: the highest of several is in part the luckiest."""
    return bool(other.samples_per_s and best.samples_per_s and other.samples_per_s.high >= best.samples_per_s.low)


def _knee_words(knees: Sequence[Knee], first: Way) -> list[str]:
    """Of the best way, or of the best one that was searched."""
    if not knees:
        return []
    knee = max(knees, key=lambda knee: (_way(knee) == first, knee.highest_samples_per_s))
    return [f"{'There' if _way(knee) == first else _way(knee)}, {knee.detail}"]


def _best_words(measured: Sequence[Point], way: Way) -> str:
    best = _best(measured, way)
    smallest = min((point for point in measured if _way(point) == way), key=lambda point: point.batch_size)
    gain = f", {factor(_rate(best) / _rate(smallest))} of what batch {smallest.batch_size} carries"
    return f"{way}, carries the most: {_most(best)}{gain if best is not smallest else ''}."


def _most(point: Point) -> str:
    rate = f"{significant(_rate(point))} samples/s"
    return f"{rate} at batch {point.batch_size}, {milliseconds(point.p50_ms)} a call"


def _failures_words(points: Sequence[Point]) -> list[str]:
    """The first of each kind."""
    firsts = {point.code: point for point in reversed(points) if point.outcome == "failed"}
    return [f"{_way(each)}, batch {each.batch_size} failed: {each.reason.rstrip('.')}." for each in firsts.values()]


def _best(measured: Sequence[Point], way: Way) -> Point:
    return max((point for point in measured if _way(point) == way), key=_rate)


def _rate(point: Point) -> float:
    return point.samples_per_s.value if point.samples_per_s else 0.0


def _way(point: Point | Knee) -> Way:
    return Way(point.settings, point.threads, point.instances)
