"""Where a number stands on a common scale, in percent of a bar's width, so that bars stay sharp at any width."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from enxuto.steps import Drop, Estimate

_FACTORS = (
    0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.2, 1.3, 1.5, 1.7, 2, 2.5, 3, 4,
    5, 6, 8, 10, 15, 20, 50, 100,
)  # fmt: skip
_MOST_TICKS = 5
_LEAST_GAP = 15.0


@dataclass(frozen=True)
class Tick:
    at: float
    label: str
    align: str
    """SVG's text-anchor: the first and last labels must not stick out."""


@dataclass(frozen=True)
class Scale:
    """From ``low`` to ``high``; what lies outside is drawn at the edge."""

    low: float
    high: float
    logarithmic: bool

    def at(self, value: float) -> float:
        """Percent of the width."""
        low, high, value = (self._map(number) for number in (self.low, self.high, value))
        return round(100 * min(1.0, max(0.0, (value - low) / (high - low))), 3)

    def _map(self, value: float) -> float:
        return math.log(max(value, 1e-9)) if self.logarithmic else value

    def tick(self, value: float, label: str) -> Tick:
        at = self.at(value)
        return Tick(at, label, "start" if at < 8 else "end" if at > 92 else "middle")


@dataclass(frozen=True)
class Bar:
    """A value with its interval on a scale; all positions in percent."""

    value: float
    low: float
    high: float
    cut_left: bool
    """Whether the interval goes on beyond the scale."""
    cut_right: bool
    loads: list[float]


def bar(scale: Scale, value: float, low: float, high: float, loads: Sequence[float] = ()) -> Bar:
    return Bar(
        value=scale.at(value),
        low=scale.at(low),
        high=scale.at(high),
        cut_left=low < scale.low,
        cut_right=high > scale.high,
        loads=[scale.at(load) for load in loads],
    )


def factor_scale(estimates: Iterable[Estimate], margin: float, also: Iterable[float] = ()) -> Scale:
    """Logarithmic, so that twice as fast and half as fast stand equally far from one; always shows the margin."""
    numbers = [number for one in estimates for number in (one.low, one.high)]
    numbers += [*also, 1 - 2 * margin, 1 + 2 * margin]
    low, high = max(min(numbers), 1e-3), min(max(numbers), 1e3)
    padding = (high / low) ** 0.06
    return Scale(low / padding, high * padding, logarithmic=True)


def drop_scale(drops: Sequence[Drop], limit: float | None) -> Scale:
    """Linear; where a limit is known, far beyond it is all the same."""
    highest = max([drop.high for drop in drops], default=0.01)
    lowest = min([drop.low for drop in drops], default=0.0)
    if limit:
        highest, lowest = min(max(highest, 1.5 * limit), 3 * limit), max(lowest, -2 * limit)
    span = max(highest - min(lowest, 0.0), 1e-6)
    return Scale(min(lowest, 0.0) - 0.05 * span, highest + 0.05 * span, logarithmic=False)


def factor_ticks(scale: Scale) -> list[Tick]:
    """A few round factors, 1× among them, spread over the scale."""
    inside = [one for one in _FACTORS if scale.low <= one <= scale.high]
    chosen: list[float] = [1.0]

    def distance(one: float) -> float:
        return min(abs(scale.at(one) - scale.at(other)) for other in chosen)

    while len(chosen) < _MOST_TICKS and distance(farthest := max(inside, key=distance)) >= _LEAST_GAP:
        chosen.append(farthest)
    return [scale.tick(one, f"{one:g}×") for one in sorted(chosen)]
