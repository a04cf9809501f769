"""Axes that people can read: round numbers in words that the rest of the page uses, a legend below the plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from enxuto.render.scale import Scale, factor_ticks

Words = Callable[[float], str]


def bare(value: float) -> str:
    """1,000 as it is, 0.25 as it is; no exponent where that is short."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return f"{value:,.6g}".replace("-", "−")
    return f"{value:.0e}".replace("-", "−")


def linear(axes: Axes, which: str, words: Words = bare, *, most: int = 6) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: words(value)))


def logarithmic(axes: Axes, which: str, words: Words = bare) -> None:
    """Ticks at 1, 2, 5; only at tens where the axis is long."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    span = high / low
    subs = (1.0, 2.0, 5.0) if span < 2000 else (1.0,)
    if span < 8:
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    else:
        axis.set_major_locator(LogLocator(base=10, subs=subs, numticks=12))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: words(value)))


def batches(axes: Axes, sizes: Sequence[int]) -> None:
    """Batch sizes double from tick to tick."""
    top = max(sizes)
    ticks = [2**power for power in range(20) if 2**power <= top * 1.2]
    while len(ticks) > 8:
        ticks = ticks[::2]
    axes.set_xscale("log", base=2)
    axes.set_xlim(min(sizes) / 1.18, top * 1.18)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: bare(value)))
    axes.set_xlabel("batch size")


def factors(axes: Axes, scale: Scale) -> None:
    """Speedups from left to right: twice as fast and half as fast stand equally far from one."""
    ticks = {float(tick.label.rstrip("×")): tick.label for tick in factor_ticks(scale)}
    axes.set_xscale("log")
    axes.set_xlim(scale.low, scale.high)
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))


def legend_below(figure: Figure, axes: Axes, *, columns: int = 3) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower left", ncols=min(columns, len(handles)))
