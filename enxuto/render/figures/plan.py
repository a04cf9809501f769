"""A serving plan: what the simulation foresaw beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from enxuto import words
from enxuto.render.figures import axes as on
from enxuto.render.figures.canvas import Drawing, Tips, drawing
from enxuto.render.figures.palette import BAD, FIRST, INK, PAPER, SECOND
from enxuto.render.figures.serving import PERCENTILES, name_of, percentile
from enxuto.report import ServingPlan
from enxuto.steps import BatchCount


def foreseen_and_measured(plan: ServingPlan, limit_ms: float) -> Drawing:
    """Latency percentiles, side by side."""

    def paint(figure: Figure, tips: Tips) -> None:
        axes = figure.add_subplot()
        sides = [("simulated", plan.simulated.latency, -0.12, "D", PAPER, SECOND)]
        if plan.measured:
            sides.append(("measured", plan.measured.latency, 0.12, "o", FIRST, FIRST))
        for label, profile, shift, marker, face, edge in sides:
            known = [(place + shift, one) for place, name in enumerate(PERCENTILES)
                     if (one := percentile(profile, name)) is not None]  # fmt: skip
            axes.vlines([x for x, _ in known], 0, [y for _, y in known], color=edge, linewidth=1.2)
            axes.plot([x for x, _ in known], [y for _, y in known], linestyle="none", marker=marker, markersize=8,
                      markerfacecolor=face, markeredgecolor=edge, markeredgewidth=1.8, label=label)  # fmt: skip
        axes.set_xlim(-0.6, len(PERCENTILES) - 0.4)
        axes.set_xticks(range(len(PERCENTILES)), [name_of(name) for name in PERCENTILES])
        axes.set_ylim(0, max(axes.get_ylim()[1], limit_ms * 1.15))
        on.linear(axes, "y")
        axes.axhline(limit_ms, color=BAD, linewidth=1.4)
        axes.annotate("limit of p95", (0, limit_ms), (4, 4), xycoords=("axes fraction", "data"),
                      textcoords="offset points", color=BAD, fontsize=11)  # fmt: skip
        axes.set_ylabel("latency of a request, ms")
        on.legend_below(figure, axes)

    told = f"Simulated: {words.percentiles_words(plan.simulated.latency)}."
    if plan.measured:
        told += f" Measured: {words.percentiles_words(plan.measured.latency)}."
    return drawing(
        "plan-latency", "Simulated and measured latency", "Waiting included; both had the same arrivals.", told, paint,
        height=300,
    )  # fmt: skip


def batches_of(plan: ServingPlan) -> Drawing:
    """How large the batches were that the batcher gathered."""

    def shares(batches: Sequence[BatchCount]) -> dict[int, float]:
        total = sum(one.count for one in batches) or 1
        return {one.size: 100 * one.count / total for one in batches}

    batches = [*plan.simulated.batches, *(plan.measured.batches if plan.measured else [])]
    sizes = sorted({one.size for one in batches})

    def paint(figure: Figure, tips: Tips) -> None:
        axes = figure.add_subplot()
        sides = [("simulated", shares(plan.simulated.batches), -0.2, PAPER, "////", SECOND)]
        if plan.measured:
            sides.append(("measured", shares(plan.measured.batches), 0.2, FIRST, "", FIRST))
        for label, found, shift, face, hatch, edge in sides:
            axes.bar(
                [sizes.index(size) + shift for size in found], list(found.values()), 0.4, label=label, facecolor=face,
                hatch=hatch, edgecolor=edge, linewidth=1,
            )  # fmt: skip
        on.linear(axes, "y", lambda value: f"{on.bare(value)} %", most=5)
        shown = range(0, len(sizes), max(1, -(-len(sizes) // 12)))
        axes.set_xticks(list(shown), [str(sizes[place]) for place in shown])
        axes.set_xlabel("requests in a batch")
        axes.set_ylabel("share of the batches")
        axes.spines["bottom"].set_color(INK)
        on.legend_below(figure, axes)

    told = ", ".join(f"{size}: {share:.0f} %" for size, share in shares(plan.simulated.batches).items())
    return drawing(
        "plan-batches", "How large the batches were",
        "Calls of the model by the number of requests that they answered.", f"Simulated: {told}", paint, height=300,
    )  # fmt: skip
