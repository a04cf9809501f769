"""Batching curves: throughput, time of a call and memory over the batch size, a line for each way to run the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from enxuto import words
from enxuto.render.figures import axes as on
from enxuto.render.figures.canvas import Drawing, Tips, drawing
from enxuto.render.figures.palette import BAD, DASHES, INK, MARKERS, PAPER, SERIES
from enxuto.report import BenchmarkReport, Knee, Point
from enxuto.settings import RunSettings

_MOST_CURVES = 6


@dataclass(frozen=True)
class Curve:
    """Points of one way to run the model, by batch size."""

    name: str
    points: list[Point]
    failed: list[Point]
    knee: Knee | None


def curves(report: BenchmarkReport) -> list[Curve]:
    """The fastest ones; a plot of more could not be read."""
    ways = list(dict.fromkeys(_way(one) for one in report.points))
    found = [_curve(report, way) for way in ways]
    found = sorted((one for one in found if one.points), key=_highest, reverse=True)[:_MOST_CURVES]
    return sorted(found, key=lambda one: ways.index(_way(one.points[0])))


_Way = tuple[str, RunSettings, int, int]


def _way(one: Point | Knee) -> _Way:
    return one.settings.model_dump_json(), one.settings, one.threads, one.instances


def _highest(curve: Curve) -> float:
    return max(one.samples_per_s.value for one in curve.points if one.samples_per_s)


def _curve(report: BenchmarkReport, way: _Way) -> Curve:
    points = sorted((one for one in report.points if _way(one) == way), key=lambda one: one.batch_size)
    return Curve(
        name=words.way_words(way[1], way[2], way[3]),
        points=[one for one in points if one.outcome == "measured" and one.samples_per_s],
        failed=[one for one in points if one.outcome == "failed"],
        knee=next((one for one in report.knees if _way(one) == way), None),
    )


def throughput(found: Sequence[Curve]) -> Drawing:
    def paint(figure: Figure, tips: Tips) -> None:
        axes = figure.add_subplot()
        for number, curve in enumerate(found):
            _line(axes, tips, number, curve, lambda one: one.samples_per_s.value if one.samples_per_s else None)
            _whiskers(axes, number, curve)
        on.batches(axes, _sizes(found))
        on.logarithmic(axes, "y")
        _knees(axes, found)
        _failures(axes, tips, found)
        axes.set_ylabel("samples a second")
        on.legend_below(figure, axes, columns=2)

    return drawing(
        "throughput", "Throughput over batch size",
        "Both axes are logarithmic. Whiskers are intervals over fresh loads. A ring is the knee: the smallest batch "
        "that comes near the highest throughput; × at the bottom: it failed there.",
        _told(found, lambda one: f"{words.significant(one.samples_per_s.value)}" if one.samples_per_s else ""), paint,
        height=340,
    )  # fmt: skip


def call_time(found: Sequence[Curve]) -> Drawing:
    def paint(figure: Figure, tips: Tips) -> None:
        axes = figure.add_subplot()
        for number, curve in enumerate(found):
            _line(axes, tips, number, curve, lambda one: one.p50_ms)
        on.batches(axes, _sizes(found))
        on.logarithmic(axes, "y")
        axes.set_ylabel("median time of a call, ms")
        on.legend_below(figure, axes, columns=2)

    return drawing(
        "call-time", "Time of a call over batch size", "Median time of one call of one copy while the others run.",
        _told(found, lambda one: words.milliseconds(one.p50_ms)), paint, height=340,
    )  # fmt: skip


def memory_over_batch(found: Sequence[Curve], limit_mb: float | None) -> Drawing | None:
    """None where it was not measured."""
    if not any(one.memory_bytes for curve in found for one in curve.points):
        return None

    def paint(figure: Figure, tips: Tips) -> None:
        axes = figure.add_subplot()
        for number, curve in enumerate(found):
            _line(axes, tips, number, curve, lambda one: one.memory_bytes / 1e6 if one.memory_bytes else None)
        on.batches(axes, _sizes(found))
        axes.set_ylim(0, 1.08 * max([axes.get_ylim()[1], limit_mb or 0]))
        on.linear(axes, "y")
        if limit_mb:
            axes.axhline(limit_mb, color=BAD, linewidth=1.4)
            axes.annotate("limit", (0, limit_mb), (4, 4), xycoords=("axes fraction", "data"),
                          textcoords="offset points", color=BAD, fontsize=11)  # fmt: skip
        axes.set_ylabel("peak resident memory, MB")
        on.legend_below(figure, axes, columns=2)

    return drawing(
        "memory-batch", "Memory over batch size", "Peak resident memory of the process, all copies together.",
        _told(found, lambda one: words.size(one.memory_bytes)), paint, height=340,
    )  # fmt: skip


def _sizes(found: Sequence[Curve]) -> list[int]:
    return [one.batch_size for curve in found for one in (*curve.points, *curve.failed)]


def _line(axes: Axes, tips: Tips, number: int, curve: Curve, value: Callable[[Point], float | None]) -> None:
    seen = [(one.batch_size, found) for one in curve.points if (found := value(one)) is not None]
    axes.plot(
        [x for x, _ in seen], [y for _, y in seen], color=SERIES[number], linestyle=DASHES[number],
        marker=MARKERS[number], markersize=5.5, markerfacecolor=PAPER if number % 2 else SERIES[number],
        label=curve.name, gid=tips.add(curve.name),
    )  # fmt: skip


def _whiskers(axes: Axes, number: int, curve: Curve) -> None:
    for one in curve.points:
        if one.samples_per_s:
            low, high = one.samples_per_s.low, one.samples_per_s.high
            axes.plot([one.batch_size] * 2, [low, high], color=SERIES[number], linewidth=1.1, marker="_", markersize=5)


def _knees(axes: Axes, found: Sequence[Curve]) -> None:
    for curve in found:
        if curve.knee:
            axes.plot([curve.knee.batch_size], [curve.knee.samples_per_s], linestyle="none", marker="o", markersize=14,
                      markerfacecolor="none", markeredgecolor=INK, markeredgewidth=1.4)  # fmt: skip


def _failures(axes: Axes, tips: Tips, found: Sequence[Curve]) -> None:
    for number, curve in enumerate(found):
        for one in curve.failed:
            axes.plot([one.batch_size], [0.03 + 0.05 * number], transform=axes.get_xaxis_transform(), linestyle="none",
                      marker="x", markersize=7, markeredgewidth=2, markeredgecolor=SERIES[number],
                      gid=tips.add(f"{curve.name}, batch {one.batch_size}: {one.reason}"))  # fmt: skip


def _told(found: Sequence[Curve], number: Callable[[Point], str]) -> str:
    return " ".join(
        f"{curve.name}: {', '.join(f'batch {one.batch_size} {number(one)}' for one in curve.points)}."
        for curve in found
    )
