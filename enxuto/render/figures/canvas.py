"""One plot: matplotlib draws it without a screen, and what comes out stands inside a page."""

from __future__ import annotations

import io
import unicodedata
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
from cycler import cycler
from markupsafe import Markup

from enxuto.render.figures.fonts import FONT, one_font_only
from enxuto.render.figures.palette import BAND, INK, LINE, SOFT
from enxuto.render.figures.svg import inline

with one_font_only():
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

WIDTH = 480
"""Units of a plot's width; about as many pixels, so that text stays readable on a narrow screen."""
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "enxuto", "text.parse_math": False, "axes.formatter.use_mathtext": False,
    "font.family": [FONT], "font.size": 12, "axes.titlesize": 12, "axes.labelsize": 12,
    "xtick.labelsize": 11.5, "ytick.labelsize": 11.5, "legend.fontsize": 11.5,
    "text.color": INK, "axes.labelcolor": SOFT, "axes.edgecolor": SOFT, "axes.titlecolor": INK,
    "xtick.color": SOFT, "ytick.color": SOFT, "grid.color": LINE, "hatch.color": "edge", "hatch.linewidth": 0.9,
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "axes.grid": True,
    "axes.grid.axis": "y", "grid.linewidth": 0.8, "lines.linewidth": 1.8, "lines.markersize": 6,
    "figure.constrained_layout.use": True, "figure.dpi": 72, "patch.edgecolor": INK,
    "axes.prop_cycle": cycler(color=[INK]), "legend.handlelength": 2.4, "legend.columnspacing": 1.4,
}  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """A plot as it stands in a page."""

    svg: Markup
    title: str
    caption: str
    """How to read it."""


class Tips:
    """What a reader sees where the pointer rests on a part of a plot."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def add(self, text: str) -> str:
        """Returns the id that the part must have."""
        name = f"tip_{len(self.texts)}"
        self.texts[name] = plain(text)
        return name


def drawing(
    name: str, title: str, caption: str, description: str, paint: Callable[[Figure, Tips], None], *, height: int = 270
) -> Drawing:
    """``paint`` draws on an empty figure. ``description`` says what is to be seen, for those who do not see it."""
    tips = Tips()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the measuring font lacks: the reader's browser has another one
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=(WIDTH / 72, height / 72))
        FigureCanvasSVG(figure)
        paint(figure, tips)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    return Drawing(inline(written.getvalue(), name, title, plain(description), tips.texts), title, caption)


def plain(text: str) -> str:
    """Without characters that an XML file cannot hold."""
    return "".join(
        "\ufffd" if unicodedata.category(one) in ("Cc", "Cs") or one in "\ufffe\uffff" else one for one in text
    )


def short(text: str, most: int = 24) -> str:
    """For a label: the middle gives way."""
    text = plain(text)
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most - most // 2 - 1) :]}"


def band(axes: Axes, low: float, high: float, *, vertical: bool) -> None:
    """A shaded range of an axis, behind everything."""
    span = axes.axvspan if vertical else axes.axhspan
    span(low, high, color=BAND, linewidth=0, zorder=0)
