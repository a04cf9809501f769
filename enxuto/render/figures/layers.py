"""What each layer costs and brings when it is quantized: its error at the outputs beside its time."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from enxuto import words
from enxuto.render.figures import axes as on
from enxuto.render.figures.canvas import Drawing, Tips, drawing, short
from enxuto.render.figures.palette import FIRST, INK, PAPER, SECOND, SOFT
from enxuto.report import LayerScore

_MOST_LAYERS = 60
_FEWEST_SPREAD_OUT = 25
"""Layers beyond which names would overlap, so that numbers stand in their place."""


def scores(layers: Sequence[LayerScore]) -> Drawing | None:
    """A row for each layer, in the graph's order; None where no layer was looked at."""
    shown = list(layers[:_MOST_LAYERS])
    if not shown:
        return None
    timed = any(one.before_us is not None for one in shown)

    def paint(figure: Figure, tips: Tips) -> None:
        sides = figure.subplots(1, 2 if timed else 1, sharey=True, squeeze=False)[0]
        _errors(sides[0], tips, shown)
        if timed:
            _times(sides[1], tips, shown)
            on.legend_below(figure, sides[1], columns=2)
        _rows(sides[0], shown)

    told = "; ".join(f"{one.name}: {_error_words(one)}, {_time_words(one)}" for one in shown[:12])
    left_out = f" {len(layers) - len(shown)} more are in the report's JSON." if len(layers) > len(shown) else ""
    return drawing(
        "layers", "Error and time of each layer",
        "Left: the signal-to-noise ratio of the outputs with only this layer quantized; the shorter, the more it costs."
        + (" Right: its time in one call, before and after." if timed else "") + left_out,
        told, paint, height=90 + len(shown) * (20 if len(shown) <= _FEWEST_SPREAD_OUT else 11),
    )  # fmt: skip


def _errors(axes: Axes, tips: Tips, shown: Sequence[LayerScore]) -> None:
    highest = max((one.sqnr_db for one in shown if one.sqnr_db is not None), default=1.0)
    for row, one in enumerate(shown):
        length = one.sqnr_db if one.sqnr_db is not None else highest
        axes.barh(row, length, height=0.7, color=FIRST, gid=tips.add(f"{one.name}: {_error_words(one)}"))
    on.linear(axes, "x", most=4)
    axes.set_xlabel("SQNR alone, dB")


def _times(axes: Axes, tips: Tips, shown: Sequence[LayerScore]) -> None:
    for row, one in enumerate(shown):
        if one.before_us is None or one.after_us is None:
            continue
        axes.plot([one.before_us, one.after_us], [row, row], color=SOFT, linewidth=1.2)
        tip = tips.add(f"{one.name}: {_time_words(one)}")
        axes.plot([one.before_us], [row], "o", color=INK, markerfacecolor=PAPER, markersize=5)
        axes.plot([one.after_us], [row], "s", color=SECOND, markersize=5, gid=tip)
    axes.plot([], [], "o", color=INK, markerfacecolor=PAPER, linestyle="none", label="before")
    axes.plot([], [], "s", color=SECOND, linestyle="none", label="in integers")
    axes.set_xlim(left=0)
    on.linear(axes, "x", most=4)
    axes.set_xlabel("time, µs")


def _rows(axes: Axes, shown: Sequence[LayerScore]) -> None:
    axes.set_ylim(len(shown) - 0.3, -0.7)
    if len(shown) <= _FEWEST_SPREAD_OUT:
        axes.set_yticks(range(len(shown)), [short(one.name, 20) for one in shown], color=INK)
    else:
        axes.set_ylabel("layer, in the graph's order")
    axes.tick_params(axis="y", length=0)


def _error_words(one: LayerScore) -> str:
    return "no error" if one.sqnr_db is None else f"{words.decibels(one.sqnr_db)} alone"


def _time_words(one: LayerScore) -> str:
    if one.before_us is None or one.after_us is None:
        return "not timed"
    return f"{words.milliseconds(one.before_us / 1e3)} before, {words.milliseconds(one.after_us / 1e3)} in integers"
