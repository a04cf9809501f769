"""What the pages draw: bars on common scales, and speed against loss."""

from __future__ import annotations

from dataclasses import dataclass

from enxuto.render.rows import Row
from enxuto.render.scale import Bar, Scale, Tick, bar, drop_scale, factor_scale, factor_ticks
from enxuto.report import OptimizeReport
from enxuto.steps import Drop, Estimate
from enxuto.words import drop_size, limit_percent


@dataclass(frozen=True)
class Column:
    """A column of bars: its axis, and the band that a reader should see in every row."""

    ticks: list[Tick]
    band_from: float
    band_to: float
    line: float
    """Where no difference lies."""


@dataclass(frozen=True)
class Bars:
    """The two columns of bars of an optimize report; bars in the order of the rows, None where nothing was measured."""

    speed: Column
    speed_bars: list[Bar | None]
    drop: Column | None
    """None where no drop was measured."""
    drop_bars: list[Bar | None]


def bars(report: OptimizeReport, rows: list[Row]) -> Bars:
    speedups = [row.seen.speedup for row in rows if row.seen.speedup]
    speed_scale = factor_scale(speedups, report.margin, [load for row in rows for load in row.seen.load_ratios])
    drops = [row.seen.drop for row in rows if row.seen.drop]
    limit = report.goal.max_drop if report.goal else None
    losses = drop_scale(drops, limit.value if limit else None)
    return Bars(
        speed=factor_column(speed_scale, report.margin),
        speed_bars=[
            factor_bar(speed_scale, row.seen.speedup, row.seen.load_ratios) if row.seen.speedup else None
            for row in rows
        ],
        drop=drop_column(losses, drops, limit.value if limit else None) if drops else None,
        drop_bars=[
            bar(losses, row.seen.drop.value, row.seen.drop.low, row.seen.drop.high) if row.seen.drop else None
            for row in rows
        ],
    )


def factor_bar(scale: Scale, estimate: Estimate, loads: list[float]) -> Bar:
    return bar(scale, estimate.value, estimate.low, estimate.high, loads)


def factor_column(scale: Scale, margin: float) -> Column:
    return Column(factor_ticks(scale), scale.at(1 / (1 + margin)), scale.at(1 + margin), scale.at(1.0))


def drop_column(scale: Scale, drops: list[Drop], limit: float | None) -> Column:
    relative = drops[0].relative
    ticks = [scale.tick(0.0, "0")]
    if limit:
        ticks.append(scale.tick(limit, limit_percent(limit) if relative else f"{limit:.4g}"))
    else:
        ticks.append(scale.tick(scale.high, drop_size(scale.high, relative)))
    return Column(ticks, 0.0, scale.at(limit) if limit else 100.0, scale.at(0.0))


@dataclass(frozen=True)
class Point:
    number: str
    name: str
    x: float
    """Percent from the left."""
    y: float
    """Percent from the top."""
    label_dx: int
    label_dy: int
    anchor: str
    winner: bool
    pareto: bool
    feasible: bool
    beyond: bool
    """Whether it loses more than the plot shows."""


@dataclass(frozen=True)
class TradeOff:
    """Speed (right is faster) against loss of the metric (down is worse)."""

    points: list[Point]
    speed: Column
    drop: Column


_OFFSETS = ((9, 4, "start"), (-9, 4, "end"), (0, -10, "middle"), (0, 18, "middle"), (9, -8, "start"), (9, 16, "start"))
_PLOT_WIDTH, _PLOT_HEIGHT = 900, 260
"""Pixels, about; only to keep labels off one another."""


def trade_off(report: OptimizeReport, rows: list[Row]) -> TradeOff | None:
    """None where fewer than two candidates have both numbers."""
    seen = [row for row in rows if row.role == "candidate" and row.seen.speedup and row.seen.drop]
    speedups = [row.seen.speedup for row in seen if row.seen.speedup]
    drops = [row.seen.drop for row in seen if row.seen.drop]
    if len(seen) < 2:
        return None
    limit = report.goal.max_drop.value if report.goal and report.goal.max_drop else None
    speed_scale, losses = factor_scale(speedups, report.margin), drop_scale(drops, limit)
    taken = [(speed_scale.at(1.0), losses.at(0.0))]
    points = []
    for row, speedup, drop in zip(seen, speedups, drops, strict=True):
        x, y = speed_scale.at(speedup.value), losses.at(drop.value)
        dx, dy, anchor = _free_offset(x, y, taken)
        points.append(
            Point(
                row.number,
                row.name,
                x,
                y,
                dx,
                dy,
                anchor,
                row.winner,
                row.pareto,
                row.outcome == "feasible",
                drop.value > losses.high,
            )
        )
    return TradeOff(points, factor_column(speed_scale, report.margin), drop_column(losses, drops, limit))


def _free_offset(x: float, y: float, taken: list[tuple[float, float]]) -> tuple[int, int, str]:
    """Where a label does not fall on another one; remembers what it takes."""

    def place(offset: tuple[int, int, str]) -> tuple[float, float]:
        return x + 100 * offset[0] / _PLOT_WIDTH, y + 100 * (offset[1] - 4) / _PLOT_HEIGHT

    def crowding(offset: tuple[int, int, str]) -> float:
        at_x, at_y = place(offset)
        return max((_closeness(at_x - other_x, at_y - other_y) for other_x, other_y in taken), default=0.0)

    best = min(_OFFSETS, key=crowding)
    taken += [(x, y), place(best)]
    return best


def _closeness(dx_percent: float, dy_percent: float) -> float:
    dx, dy = dx_percent * _PLOT_WIDTH / 100, dy_percent * _PLOT_HEIGHT / 100
    return max(0.0, 18.0 - max(abs(dx), abs(dy)))
