"""What a search found: speed against size, and against loss of the metric."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from enxuto import words
from enxuto.render.figures import axes as on
from enxuto.render.figures.canvas import Drawing, Tips, band, drawing
from enxuto.render.figures.labels import place
from enxuto.render.figures.palette import BAD, FIRST, INK, PAPER, SOFT, Look
from enxuto.render.rows import Row
from enxuto.render.scale import Scale, drop_scale, factor_scale
from enxuto.report import OptimizeReport

_HOW = (
    "Down and to the right is better. Numbers are those of the table; 0 is the original. Filled: no other beats it in "
    "speed, size and metric at once; ×: not feasible; ★: the winner. The whisker is the interval of the speed, the "
    "shade the margin of equality."
)


def speed_against_size(report: OptimizeReport, rows: list[Row]) -> Drawing | None:
    """None where fewer than two candidates were timed."""
    shown = [row for row in _timed(rows) if row.size_bytes]
    if len(shown) < 2:
        return None

    def height(row: Row) -> float:
        return (row.size_bytes or 0) / 1e6

    def paint(figure: Figure, tips: Tips) -> None:
        axes = _speed_axes(figure, report, shown)
        highest = max(height(row) for row in [rows[0], *shown])
        axes.set_ylim(0, highest * 1.14)
        on.linear(axes, "y")
        axes.set_ylabel("file, MB")
        _points(axes, tips, [rows[0], *shown], height, "")

    return drawing(
        "pareto-size", "Speed against size", _HOW,
        _told(shown, "file size", lambda row: words.size(row.size_bytes)), paint, height=300,
    )  # fmt: skip


def speed_against_loss(report: OptimizeReport, rows: list[Row]) -> Drawing | None:
    """None where fewer than two candidates have both numbers."""
    shown = [row for row in _timed(rows) if row.seen.drop]
    if len(shown) < 2:
        return None
    limit = report.goal.max_drop.value if report.goal and report.goal.max_drop else None
    drops = [row.seen.drop for row in shown if row.seen.drop]
    scale, relative = drop_scale(drops, limit), drops[0].relative
    unit = 100 if relative else 1

    def height(row: Row) -> float:
        return unit * min(row.seen.drop.value if row.seen.drop else 0.0, scale.high)

    def paint(figure: Figure, tips: Tips) -> None:
        axes = _speed_axes(figure, report, shown)
        lowest = min([0.0, *(height(row) for row in shown)])
        axes.set_ylim(lowest - 0.1 * (unit * scale.high - lowest), unit * scale.high)
        on.linear(axes, "y")
        axes.set_ylabel(f"loss of {report.metric_name}, %" if relative else f"loss of {report.metric_name}")
        axes.axhline(0, color=SOFT, linewidth=1, linestyle=(0, (2, 3)))
        if limit is not None:
            axes.axhline(unit * limit, color=BAD, linewidth=1.4)
            axes.annotate("limit", (0, unit * limit), (4, 5), xycoords=("axes fraction", "data"),
                          textcoords="offset points", color=BAD, fontsize=11)  # fmt: skip
        _points(axes, tips, [rows[0], *shown], height, _beyond(scale))

    caption = "Down and to the right is better. Marks as in the plot beside it; ▲: loses more than is shown."
    return drawing(
        "pareto-loss", f"Speed against loss of {report.metric_name}", caption,
        _told(shown, "loss", lambda row: words.drop_size(row.seen.drop.value, relative) if row.seen.drop else "–"),
        paint, height=300,
    )  # fmt: skip


def _beyond(scale: Scale) -> Callable[[Row], str]:
    return lambda row: " ▲" if row.seen.drop and row.seen.drop.value > scale.high else ""


def _timed(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.role == "candidate" and row.seen.speedup]


def _told(shown: list[Row], what: str, number: Callable[[Row], str]) -> str:
    told = [f"{row.number}: {words.factor(row.seen.speedup.value)}, {number(row)}" for row in shown if row.seen.speedup]
    return f"Speedup and {what} of each candidate. {'; '.join(told)}. The same numbers stand in the table."


def _speed_axes(figure: Figure, report: OptimizeReport, shown: list[Row]) -> Axes:
    axes = figure.add_subplot()
    on.factors(axes, factor_scale([row.seen.speedup for row in shown if row.seen.speedup], report.margin))
    axes.set_xlabel("speed against the original")
    band(axes, 1 / (1 + report.margin), 1 + report.margin, vertical=True)
    axes.axvline(1, color=SOFT, linewidth=1, linestyle=(0, (2, 3)))
    return axes


def _points(
    axes: Axes, tips: Tips, rows: list[Row], height: Callable[[Row], float], beyond: Callable[[Row], str] | str
) -> None:
    labels = []
    for row in rows:
        one = row.seen.speedup
        x, y = one.value if one else 1.0, height(row)
        if one:
            axes.plot([one.low, one.high], [y, y], color=SOFT, linewidth=1.1)
        axes.plot([x], [y], linestyle="none", gid=tips.add(f"{row.number} {row.name}"), clip_on=False, **_mark(row))
        suffix = beyond if isinstance(beyond, str) else beyond(row)
        labels.append((x, y, row.number + suffix, FIRST if row.winner else INK))
    place(axes, sorted(labels, key=lambda one: one[3] != FIRST))


def _mark(row: Row) -> Look:
    if row.winner:
        return {"marker": "*", "markersize": 15, "markerfacecolor": FIRST, "markeredgecolor": FIRST}
    if row.outcome == "infeasible":
        return {"marker": "x", "markersize": 6.5, "markeredgecolor": BAD, "markeredgewidth": 1.8}
    shape = "D" if row.role == "original" else "o"
    if row.pareto:  # with a rim, so that it can be seen on another one
        return {"marker": shape, "markersize": 7.5, "markerfacecolor": INK, "markeredgecolor": PAPER}
    return {"marker": shape, "markersize": 6.5, "markerfacecolor": PAPER, "markeredgecolor": INK}
