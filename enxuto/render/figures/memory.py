"""Memory: what a process took, split into what it went to; and how it grows with the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.figure import Figure

from enxuto import words
from enxuto.render.figures import axes as on
from enxuto.render.figures.canvas import Drawing, Tips, drawing, short
from enxuto.render.figures.palette import INK, LINE, PAPER, SERIES, SOFT
from enxuto.steps import MemoryUse

_PARTS: Final = (
    ("runtime", "before the model was loaded", LINE, "", INK),
    ("weights", "weights", SERIES[0], "", INK),
    ("arena", "arena", PAPER, "////", SERIES[1]),
    ("rest", "the rest", PAPER, "xxx", SOFT),
)
"""Key, name, colour, hatch, and the colour of the hatch."""


@dataclass(frozen=True)
class Held:
    name: str
    use: MemoryUse


def parts(use: MemoryUse) -> dict[str, int]:
    """Peak resident memory by what it went to, in bytes; parts that the runtime does not tell are in the rest."""
    known = {"runtime": use.runtime_bytes, "weights": use.weights_bytes or 0, "arena": use.arena_bytes or 0}
    return {**known, "rest": max(0, use.peak_bytes - sum(known.values()))}


def _predicted(models: Sequence[Held]) -> str:
    """Activations by the shapes alone, to hold beside the arena."""
    known = [f"{words.size(one.use.predicted_activation_bytes)} ({short(one.name)})" for one in models
             if one.use.predicted_activation_bytes is not None]  # fmt: skip
    return f" From shapes alone, activations would take {', '.join(known)}." if known else ""


def memory_bars(models: Sequence[Held]) -> Drawing:
    def paint(figure: Figure, tips: Tips) -> None:
        axes = figure.add_subplot()
        split = [parts(one.use) for one in models]
        left = [0.0] * len(models)
        for key, label, colour, hatch, edge in _PARTS:
            widths = [one[key] / 1e6 for one in split]
            if any(widths):
                axes.barh(range(len(models)), widths, left=left, height=0.56, label=label, color=colour, hatch=hatch,
                          edgecolor=edge, linewidth=0.9)  # fmt: skip
            left = [at + width for at, width in zip(left, widths, strict=True)]
        for place, (end, one) in enumerate(zip(left, models, strict=True)):
            axes.annotate(words.size(one.use.peak_bytes), (end, place), (5, 0), textcoords="offset points", va="center")
        axes.set_xlim(0, max(left) * 1.2)
        axes.set_ylim(len(models) - 0.4, -0.6)
        axes.set_yticks(range(len(models)), [short(one.name, 22) for one in models], color=INK)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False)
        axes.spines["left"].set_visible(False)
        on.linear(axes, "x")
        axes.set_xlabel("peak resident memory, MB")
        on.legend_below(figure, axes, columns=2)

    told = "; ".join(
        f"{one.name}: {words.size(one.use.peak_bytes)}, of which "
        + ", ".join(f"{label} {words.size(parts(one.use)[key])}" for key, label, *_ in _PARTS)
        for one in models
    )
    return drawing(
        "memory", "Memory of a fresh process",
        "Peak resident memory of a process that loads the model and runs it, and what it went to as far as the runtime "
        f"tells.{_predicted(models)}", told, paint, height=118 + 44 * len(models),
    )  # fmt: skip
