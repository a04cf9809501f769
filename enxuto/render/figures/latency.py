"""Times of calls: how they are spread, how they went on, and what each fresh load made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from enxuto import words
from enxuto.render.figures import axes as on
from enxuto.render.figures.canvas import Drawing, Tips, band, drawing, short
from enxuto.render.figures.palette import BAD, BAND, FIRST, INK, SOFT, Look
from enxuto.report import Latency
from enxuto.steps import Estimate

_WIDE = 4.0
"""Times the fastest call from which on the axis of a histogram is logarithmic."""
_ROOM = 0.05
"""Share of the axis that the name of a percentile takes."""
_SIDE_BY_SIDE = 8
"""Loads whose shares find room beside each other; those of more stand upright."""


@dataclass(frozen=True)
class Timed:
    """One of the models that were timed."""

    name: str
    latency: Latency


def histograms(models: Sequence[Timed]) -> Drawing:
    """One above the other on one axis, the reference first."""

    def paint(figure: Figure, tips: Tips) -> None:
        panels = figure.subplots(len(models), 1, sharex=True, squeeze=False)[:, 0]
        low = min(one.latency.histogram.edges_ms[0] for one in models)
        high = max(max(one.latency.histogram.edges_ms[-1], one.latency.p95_ms or 0.0) for one in models)
        panels[-1].set_xlabel("time of a call, ms")
        if high > _WIDE * low:
            panels[-1].set_xlim(low / 1.06, high * 1.1)
            on.logarithmic(panels[-1], "x")
        else:
            panels[-1].set_xlim(low - 0.02 * (high - low), high + 0.04 * (high - low))
            on.linear(panels[-1], "x")
        for position, (axes, one) in enumerate(zip(panels, models, strict=True)):
            _histogram(axes, one, first=position == 0 and len(models) > 1)

    told = "; ".join(
        f"{one.name}: p50 {words.milliseconds(one.latency.p50_ms)}, p95 {words.milliseconds(one.latency.p95_ms)}, "
        f"{one.latency.calls:,} calls" for one in models
    )  # fmt: skip
    return drawing(
        "histograms", "How long calls took",
        "Share of the calls of all loads by their time. Solid line: the median (p50); dashed: the 95th percentile, "
        "where there are calls enough for it. The last bar takes the slowest hundredth whole.",
        told, paint, height=110 + 105 * len(models),
    )  # fmt: skip


def _histogram(axes: Axes, one: Timed, *, first: bool) -> None:
    counts, edges = one.latency.histogram.counts, one.latency.histogram.edges_ms
    total = sum(counts) or 1
    heights = [100 * count / total for count in counts]
    look: Look = {"facecolor": BAND, "edgecolor": SOFT} if first else {"facecolor": FIRST, "edgecolor": FIRST}
    axes.stairs(heights, edges, fill=True, linewidth=1, **look)
    axes.set_ylim(0, max(heights) * 1.28)
    on.linear(axes, "y", lambda value: f"{on.bare(value)} %", most=3)
    axes.set_title(short(one.name, 48), loc="left", color=SOFT, fontsize=11.5)
    marks: list[tuple[float, str, Any]] = [(one.latency.p50_ms, "p50", "-")]
    marks += [(one.latency.p95_ms, "p95", (0, (4, 2)))] if one.latency.p95_ms else []
    before = _share(axes, one.latency.p50_ms) > _ROOM
    for at, name, dashes in marks:
        left = name == "p50" and before  # so that the two names do not meet, however near the percentiles are
        lower = name == "p95" and not before and _share(axes, at) - _share(axes, one.latency.p50_ms) < _ROOM
        axes.axvline(at, color=INK, linewidth=1.4, linestyle=dashes)
        axes.annotate(name, (at, 1), (-3 if left else 3, -17 if lower else -2), xycoords=("data", "axes fraction"),
                      textcoords="offset points", ha="right" if left else "left", va="top", fontsize=11)  # fmt: skip


def _share(axes: Axes, at: float) -> float:
    """Where on the axis a time stands, from 0 to 1."""
    pixels = axes.transData.transform((at, axes.get_ylim()[0]))[0]
    return float((pixels - axes.bbox.x0) / axes.bbox.width)


def over_time(
    models: Sequence[Timed], ratios: Sequence[float], estimate: Estimate | None, margin: float,
    disturbed: Sequence[float | None],
) -> Drawing:  # fmt: skip
    """Block medians in the order of time, and below them the ratio that each load saw.

    ``disturbed``: share of disturbed rounds of each load; empty where it cannot be told.
    """

    def paint(figure: Figure, tips: Tips) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        ends = _series(above, models)
        _disturbed(above, ends, disturbed)
        _ratios(below, ends, ratios, estimate, margin)
        on.legend_below(figure, above)

    told = "; ".join(f"load {number}: {ratio:.3f}" for number, ratio in enumerate(ratios, 1))
    caption = (
        "Above: the median of each block of calls, in the order of time; thin lines part the fresh loads. Below: the "
        "speedup that each load saw, and the estimate with its interval (shaded); 1 is dotted, where it is near."
    )
    if any(disturbed):
        caption += " A share above a load is that of its rounds that were disturbed by others and do not count."
    return drawing("over-time", "Over time, load by load", caption, f"Speedup of each load. {told}", paint, height=360)


def _series(axes: Axes, models: Sequence[Timed]) -> list[tuple[float, float]]:
    """Returns where each load begins and ends."""
    loads = max(len(one.latency.block_medians_ms) for one in models)
    longest = [
        max(len(one.latency.block_medians_ms[load]) for one in models if load < len(one.latency.block_medians_ms))
        for load in range(loads)
    ]
    starts = [0, *accumulate(longest)]
    for number, one in enumerate(models):
        x, y = [], []
        for start, medians in zip(starts, one.latency.block_medians_ms, strict=False):
            x += [*(start + place + 0.5 for place in range(len(medians))), float("nan")]
            y += [*medians, float("nan")]
        look = {"color": SOFT, "linestyle": (0, (3, 1.2))} if number == 0 and len(models) > 1 else {"color": FIRST}
        axes.plot(x, y, linewidth=1.3, label=short(one.name, 34), **look)
    for edge in starts[1:-1]:
        axes.axvline(edge, color=SOFT, linewidth=0.5)
    seen = sorted(median for one in models for load in one.latency.block_medians_ms for median in load)
    highest, lowest = seen[min(len(seen) - 1, int(0.995 * len(seen)))], seen[0]
    axes.set_ylim(lowest - 0.12 * (highest - lowest) - 1e-6, highest + 0.22 * (highest - lowest) + 1e-6)
    axes.set_xlim(0, max(starts[-1], 1))
    on.linear(axes, "y", most=5)
    axes.set_ylabel("block median, ms")
    return list(pairwise(starts))


def _disturbed(axes: Axes, ends: Sequence[tuple[float, float]], shares: Sequence[float | None]) -> None:
    if len(shares) != len(ends):
        return
    turned: dict[str, Any] = {"rotation": 90, "fontsize": 9} if len(ends) > _SIDE_BY_SIDE else {"fontsize": 11}
    for (start, end), share in zip(ends, shares, strict=True):
        if share:
            axes.annotate(f"{100 * share:.0f} %", ((start + end) / 2, 1), (0, -1), xycoords=("data", "axes fraction"),
                          textcoords="offset points", ha="center", va="top", color=BAD, **turned)  # fmt: skip


def _ratios(
    axes: Axes, ends: Sequence[tuple[float, float]], ratios: Sequence[float], estimate: Estimate | None, margin: float
) -> None:
    at = [(start + end) / 2 for start, end in ends][: len(ratios)]
    if estimate:
        band(axes, estimate.low, estimate.high, vertical=False)
        axes.axhline(estimate.value, color=SOFT, linewidth=1)
    axes.axhline(1, color=SOFT, linewidth=1, linestyle=(0, (2, 3)))
    axes.plot(at, list(ratios)[: len(at)], linestyle="none", marker="o", color=INK, markersize=5.5)
    axes.set_ylim(*_window([*ratios, *((estimate.low, estimate.high) if estimate else ())], margin))
    on.linear(axes, "y", lambda value: f"{on.bare(value)}×", most=4)
    axes.set_ylabel("speedup")
    each = -(-len(at) // 16)
    axes.set_xticks(at[::each], [str(number) for number in range(1, len(at) + 1, each)])
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("fresh load")


def _window(numbers: Sequence[float], margin: float) -> tuple[float, float]:
    """What was seen, wide enough for the margin of equality; 1 is shown where it is not far."""
    low, high = min(numbers), max(numbers)
    room = max(high - low, margin * high)
    if low - 2 * room <= 1 <= high + 2 * room:
        low, high = min(low, 1 - margin), max(high, 1 + margin)
    return low - 0.4 * room, high + 0.4 * room
