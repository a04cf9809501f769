"""The small bars inside the rows of tables, on common scales. Plots are in `enxuto.render.figures`."""

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
