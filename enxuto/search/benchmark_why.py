"""What a benchmark found, in a sentence or two."""

from __future__ import annotations

from collections.abc import Sequence

from enxuto.report import Knee, LargestBatch, Point, ScenarioResult
from enxuto.search.plan import StopReason
from enxuto.search.ways import Way
from enxuto.words import factor, milliseconds, settings_words, significant

_STOPPED: dict[StopReason, str] = {"deadline": "the deadline came", "cancelled": "it was cancelled"}


def told(
    points: Sequence[Point],
    knees: Sequence[Knee],
    largest: Sequence[LargestBatch],
    scenario: ScenarioResult | None,
    stopped: StopReason | None,
) -> str:
    measured = [point for point in points if point.outcome == "measured"]
    parts = [_best(measured)] if measured else []
    parts += [f"{_capital(str(_way(knee)))}: {knee.detail}" for knee in knees]
    parts += [f"{_capital(settings_words(each.settings))}: {each.detail}" for each in largest]
    parts += [scenario.detail] if scenario else []
    parts += _not_measured(points)
    if stopped:
        kept = "what had been measured until then is here" if parts else "nothing had been measured"
        parts.append(f"It ended early: {_STOPPED[stopped]}, and {kept}.")
    return " ".join(parts)


def _best(measured: Sequence[Point]) -> str:
    best = max(measured, key=_rate)
    first = min(measured, key=lambda point: (point.batch_size, point.threads * point.instances))
    where = f"{_way(best)}, batch {best.batch_size}"
    most = f"{significant(_rate(best))} samples/s, {milliseconds(best.p50_ms)} a call"
    if best is first or len(measured) == 1:
        return f"The most was carried by {where}: {most}."
    gain = factor(_rate(best) / _rate(first))
    return f"The most was carried by {where}: {most}; that is {gain} {_way(first)}, batch {first.batch_size}."


def _not_measured(points: Sequence[Point]) -> list[str]:
    failed = [point for point in points if point.outcome == "failed"]
    if not failed:
        return []
    first = failed[0]
    others = f", and {len(failed) - 1} more of its rows" if len(failed) > 1 else ""
    return [f"{_capital(str(_way(first)))}, batch {first.batch_size} failed ({first.code}){others}."]


def _rate(point: Point) -> float:
    return point.samples_per_s.value if point.samples_per_s else 0.0


def _way(point: Point | Knee) -> Way:
    return Way(point.settings, point.threads, point.instances)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
