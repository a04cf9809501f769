"""Where the time of a call goes: by operator type, by groups of nodes, and against what the machine could do."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from enxuto import words
from enxuto.render.figures import axes as on
from enxuto.render.figures.canvas import Drawing, Tips, drawing, short
from enxuto.render.figures.labels import place
from enxuto.render.figures.palette import FIRST, INK, PAPER, SECOND, SOFT, Look
from enxuto.report import MatchedGroup, Node, ProfiledModel
from enxuto.steps import Bandwidth, Peaks

_MOST_BARS = 12
_MOST_LABELS = 8
_MOST_POINTS = 100
_MODEL: Look = {"color": FIRST, "hatch": "", "edgecolor": FIRST}
_AGAINST: Look = {"color": PAPER, "hatch": "////", "edgecolor": SOFT}


def by_operator(profiles: Sequence[ProfiledModel]) -> Drawing:
    """Bars of one model, or of two side by side; the slowest types first."""
    names = _slowest_types(profiles)

    def paint(figure: Figure, tips: Tips) -> None:
        sides = [{one.op_type: one.ms for one in profile.operators} for profile in profiles]
        rest = [sum(ms for name, ms in side.items() if name not in names) for side in sides]
        labels = [*names, *(["all others"] if any(rest) else [])]
        numbers = [[*(side.get(name, 0.0) for name in names), *([other] if any(rest) else [])]
                   for side, other in zip(sides, rest, strict=True)]  # fmt: skip
        totals = [profile.nodes_ms for profile in profiles]
        _bars(figure, labels, numbers, [short(one.model_name, 26) for one in profiles], totals)

    told = "; ".join(
        f"{profile.model_name}: "
        + ", ".join(f"{one.op_type} {words.milliseconds(one.ms)}" for one in profile.operators[:8])
        for profile in profiles
    )
    return drawing(
        "operators", "Time by type of operator",
        "Time of all nodes of a type in one call, and its share of the time of all nodes.", told, paint,
        height=_height(len(names) + 1, len(profiles)),
    )  # fmt: skip


def by_group(groups: Sequence[MatchedGroup], names: tuple[str, str]) -> Drawing:
    """Nodes of both models that do the same work; the largest difference first."""
    shown = list(groups[:_MOST_BARS])

    def paint(figure: Figure, tips: Tips) -> None:
        numbers = [[one.ms or 0.0 for one in shown], [one.against_ms or 0.0 for one in shown]]
        _bars(figure, [one.group for one in shown], numbers, [short(name, 26) for name in names], None)

    told = "; ".join(
        f"{one.group}: {words.milliseconds(one.ms)} against {words.milliseconds(one.against_ms)}" for one in shown
    )
    left_out = f" {len(groups) - len(shown)} more are in the report's JSON." if len(groups) > len(shown) else ""
    return drawing(
        "groups", "Groups of nodes that do the same work", f"Time in one call; the largest difference first.{left_out}",
        told, paint, height=_height(len(shown), 2),
    )  # fmt: skip


def _slowest_types(profiles: Sequence[ProfiledModel]) -> list[str]:
    slowest: dict[str, float] = {}
    for profile in profiles:
        for one in profile.operators:
            slowest[one.op_type] = max(slowest.get(one.op_type, 0.0), one.ms)
    return sorted(slowest, key=lambda name: -slowest[name])[:_MOST_BARS]


def _height(bars: int, models: int) -> int:
    return 96 + bars * (26 if models == 1 else 38)


def _bars(
    figure: Figure, labels: Sequence[str], numbers: Sequence[Sequence[float]], names: Sequence[str],
    totals: Sequence[float] | None,
) -> None:  # fmt: skip
    axes = figure.add_subplot()
    thick = 0.62 / len(numbers)
    for number, (values, name) in enumerate(zip(numbers, names, strict=True)):
        at = [row + (number - (len(numbers) - 1) / 2) * thick for row in range(len(labels))]
        axes.barh(at, values, thick * 0.94, label=name, linewidth=0.9, **(_AGAINST if number else _MODEL))
        for y, value in zip(at, values, strict=True):
            share = f" · {100 * value / totals[number]:.0f} %" if totals and totals[number] else ""
            axes.annotate(f"{words.milliseconds(value)}{share}" if value else "–", (value, y), (4, 0),
                          textcoords="offset points", va="center", fontsize=11)  # fmt: skip
    axes.set_xlim(0, 1.32 * max([one for values in numbers for one in values], default=1.0))
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_yticks(range(len(labels)), [short(label, 22) for label in labels], color=INK)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    on.linear(axes, "x", most=5)
    axes.set_xlabel("time in one call, ms")
    if len(numbers) > 1:
        on.legend_below(figure, axes, columns=1)


def ranked(profile: ProfiledModel) -> list[tuple[int, Node]]:
    """Nodes by number, the slowest first."""
    return list(enumerate(sorted(profile.nodes, key=lambda one: -one.ms), 1))


def roofline(profile: ProfiledModel, peaks: Peaks, name: str) -> Drawing | None:
    """None where no node's operations are known."""
    numbered = [(number, one) for number, one in ranked(profile) if one.intensity and one.gops]
    numbered, left_out = numbered[:_MOST_POINTS], len(numbered) - _MOST_POINTS
    seen = [one for _, one in numbered]
    if not seen:
        return None

    def paint(figure: Figure, tips: Tips) -> None:
        axes = figure.add_subplot()
        low, high, bottom, top = _window(seen, peaks)
        axes.set_xlim(low, high)
        axes.set_ylim(bottom, top)
        on.logarithmic(axes, "x")
        on.logarithmic(axes, "y")
        _roofs(axes, peaks, low, high)
        _nodes(axes, tips, numbered)
        axes.set_xlabel("operations a byte moved")
        axes.set_ylabel("10⁹ operations a second")
        on.legend_below(figure, axes, columns=2)

    told = "; ".join(
        f"{one.name}: {words.significant(one.intensity or 0)} operations a byte, "
        f"{words.significant(one.gops or 0)} GOP/s"
        for one in seen[:8]
    )
    return drawing(
        name, f"Roofline of {short(profile.model_name, 40)}",
        "A point is a node: to the right it computes more for each byte that it moves, above it computes faster; its "
        "area is its share of the time. The lines are the most that was measured on this machine: the slope is memory, "
        "between the dotted ones are the caches, the flat parts are arithmetic. The nearer to its line, the less "
        "there is to gain. Numbers as in the table."
        + (f" The {left_out} fastest nodes are not drawn." if left_out > 0 else ""),
        told, paint, height=350,
    )  # fmt: skip


def _window(seen: Sequence[Node], peaks: Peaks) -> tuple[float, float, float, float]:
    ridge = max(peaks.fp32_gflops, peaks.int8_gops) / peaks.bandwidth_gb_s
    x, y = [one.intensity or 1.0 for one in seen], [one.gops or 1.0 for one in seen]
    top = max(peaks.fp32_gflops, peaks.int8_gops, *y)
    return min([*x, 1.0]) / 2, max([*x, ridge]) * 3, max(min(y) / 2.5, top / 1e6), top * 2


def caches(peaks: Peaks) -> list[Bandwidth]:
    """The fastest and the slowest that was measured; those between lie too near each other to be told apart."""
    return peaks.cached if len(peaks.cached) < 2 else [peaks.cached[0], peaks.cached[-1]]


def _roofs(axes: Axes, peaks: Peaks, low: float, high: float) -> None:
    highest = max(peaks.int8_gops, peaks.fp32_gflops)
    for one in caches(peaks):
        ridge = max(low, min(high, highest / one.gb_s))
        axes.plot([low, ridge], [one.gb_s * low, one.gb_s * ridge], color=SOFT, linestyle=(0, (1, 2)), linewidth=1.2)
    if peaks.cached:
        speeds = "–".join(words.significant(one.gb_s) for one in reversed(caches(peaks)))
        axes.plot([], [], color=SOFT, linestyle=(0, (1, 2)), linewidth=1.2, label=f"caches: {speeds} GB/s")
    for peak, label, dashes in (
        (peaks.int8_gops, f"INT8: {words.significant(peaks.int8_gops)} GOP/s", (0, (5, 2))),
        (peaks.fp32_gflops, f"FP32: {words.significant(peaks.fp32_gflops)} GFLOP/s", "-"),
    ):
        ridge = peak / peaks.bandwidth_gb_s
        x = [low, min(max(ridge, low), high), high]
        axes.plot(x, [min(peak, peaks.bandwidth_gb_s * one) for one in x], color=INK, linestyle=dashes, linewidth=1.5,
                  label=label)  # fmt: skip


def _nodes(axes: Axes, tips: Tips, numbered: Sequence[tuple[int, Node]]) -> None:
    for integer, marker, colour, face, label in (
        (False, "o", FIRST, FIRST, "node in floating point"), (True, "s", SECOND, PAPER, "node in 8-bit integers"),
    ):  # fmt: skip
        these = [(number, one) for number, one in numbered if one.integer == integer]
        for number, one in these:
            tip = f"{number} {one.name} ({one.op_type}), {words.milliseconds(one.ms)}"
            axes.scatter(
                [one.intensity or 1.0], [one.gops or 1.0], s=20 + 420 * one.share, marker=marker, facecolor=face,
                edgecolor=colour, linewidth=1.4, alpha=0.85, zorder=3, gid=tips.add(tip),
            )  # fmt: skip
        if these:
            axes.plot(
                [], [], linestyle="none", marker=marker, markerfacecolor=face, markeredgecolor=colour, label=label
            )
    labelled = numbered[:_MOST_LABELS]
    place(axes, [(one.intensity or 1.0, one.gops or 1.0, str(number), INK) for number, one in labelled])
