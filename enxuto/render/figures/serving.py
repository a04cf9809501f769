"""Load: the latency of queries, percentile by percentile and over their rate."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from enxuto import words
from enxuto.render.figures import axes as on
from enxuto.render.figures.canvas import Drawing, Tips, drawing
from enxuto.render.figures.palette import BAD, FIRST, SOFT
from enxuto.report import Run
from enxuto.steps import LatencyProfile

PERCENTILES = ("p50", "p90", "p95", "p99", "p999")
_NAMES = {"p999": "p99.9"}


def percentile(profile: LatencyProfile, name: str) -> float | None:
    found: float | None = getattr(profile, f"{name}_ms")
    return found


def name_of(percentile: str) -> str:
    return _NAMES.get(percentile, percentile)


def distribution(runs: Sequence[Run], limit_ms: float | None) -> Drawing | None:
    """Percentiles of each run's latency; None where nothing was measured."""
    seen = [(run, run.found) for run in _spread([run for run in runs if run.found]) if run.found]
    if not seen:
        return None

    def paint(figure: Figure, tips: Tips) -> None:
        axes = figure.add_subplot()
        ends: list[tuple[float, float, str, str]] = []
        for run, found in seen:
            known = [(place, one) for place, name in enumerate(PERCENTILES)
                     if (one := percentile(found.latency, name)) is not None]  # fmt: skip
            broken = run.holds is False
            axes.plot([x for x, _ in known], [y for _, y in known], color=BAD if broken else FIRST,
                      linestyle=(0, (4, 2)) if broken else "-", marker="x" if broken else "o", markersize=6,
                      gid=tips.add(_run_name(run)))  # fmt: skip
            ends.append((*known[-1], _run_name(run), BAD if broken else FIRST))
        axes.set_xlim(-0.3, max(x for x, *_ in ends) + 1.4)
        axes.set_xticks(range(len(PERCENTILES)), [name_of(name) for name in PERCENTILES])
        on.logarithmic(axes, "y")
        if limit_ms is not None:
            _limit(axes, limit_ms)
        axes.set_ylabel("latency of a query, ms")
        _name_ends(axes, ends)

    told = "; ".join(f"{_run_name(run)}: {words.percentiles_words(found.latency)}" for run, found in seen)
    return drawing(
        "distribution", "Latency, percentile by percentile",
        "One line a run, waiting included; a percentile is missing where fewer than ten queries lie beyond it. Dashed "
        "with ×: the run does not hold what was asked.", told, paint, height=320,
    )  # fmt: skip


_MOST_RUNS = 8


def _spread(runs: Sequence[Run]) -> list[Run]:
    """Some of them, the slowest and the fastest rate among them; a plot of more could not be read."""
    ordered = sorted(runs, key=lambda run: run.rate_per_s or 0.0)
    if len(ordered) <= _MOST_RUNS:
        return ordered
    return [ordered[round(place * (len(ordered) - 1) / (_MOST_RUNS - 1))] for place in range(_MOST_RUNS)]


def _name_ends(axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Names at the right ends of lines, one above the other."""
    figure = axes.get_figure(root=True)
    if figure is None:
        return
    figure.draw_without_rendering()
    lowest = float("-inf")
    for x, y, name, colour in sorted(ends, key=lambda one: one[1]):
        at = float(axes.transData.transform((x, y))[1])
        stands = max(at, lowest + 13)
        lowest = stands
        axes.annotate(
            name, (x, y), (9, stands - at), textcoords="offset points", va="center", fontsize=11, color=colour
        )


def over_rate(runs: Sequence[Run], percentile_name: str, limit_ms: float | None) -> Drawing | None:
    """The judged percentile over the rate; None below two rates."""
    seen = sorted(((run.rate_per_s, run.percentile_ms, run) for run in runs if run.rate_per_s and run.percentile_ms),
                  key=lambda one: one[0])  # fmt: skip
    if len(seen) < 2:
        return None

    def paint(figure: Figure, tips: Tips) -> None:
        axes = figure.add_subplot()
        rates = sorted({x for x, _, _ in seen})
        middles = [median([y for at, y, _ in seen if at == rate]) for rate in rates]
        axes.plot(rates, middles, color=SOFT, linewidth=1.2)
        for holds, marker, colour, label in ((True, "o", FIRST, "holds"), (False, "x", BAD, "does not hold")):
            these = [(x, y) for x, y, run in seen if (run.holds is not False) == holds]
            if these:
                axes.plot([x for x, _ in these], [y for _, y in these], linestyle="none", marker=marker, color=colour,
                          markersize=8, markeredgewidth=2, label=label)  # fmt: skip
        on.logarithmic(axes, "y")
        on.linear(axes, "x")
        if limit_ms is not None:
            _limit(axes, limit_ms)
        axes.set_xlabel("queries a second")
        axes.set_ylabel(f"{percentile_name} of the latency, ms")
        on.legend_below(figure, axes)

    told = "; ".join(f"{x:g} a second: {words.milliseconds(y)}" for x, y, _ in seen)
    return drawing(
        "over-rate", f"{percentile_name} over the rate",
        "A point is one run with seeded Poisson arrivals; the line joins medians.", told, paint, height=320,
    )  # fmt: skip


def _limit(axes: Axes, limit_ms: float) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, limit_ms / 1.3), max(high, limit_ms * 1.3))
    axes.axhline(limit_ms, color=BAD, linewidth=1.4)
    axes.annotate("limit", (0, limit_ms), (4, 4), xycoords=("axes fraction", "data"), textcoords="offset points",
                  color=BAD, fontsize=11)  # fmt: skip


def _run_name(run: Run) -> str:
    return (
        f"{on.bare(round(run.rate_per_s, 0 if run.rate_per_s >= 100 else 2))} a second"
        if run.rate_per_s
        else "one by one"
    )
