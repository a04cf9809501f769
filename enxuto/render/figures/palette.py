"""Colours, hatches, markers and lines of the plots. None carries a meaning by colour alone.

Plots are drawn with stand-ins for colours, no two alike; `enxuto.render.figures.svg` puts variables of the page's style
sheet in their places, so that light, dark and paper each have their own.
"""

from __future__ import annotations

from typing import Any, Final

INK, SOFT, LINE, BAND, PAPER, BAD = "#010001", "#020001", "#030001", "#040001", "#050001", "#060001"
SERIES: Final = ("#070001", "#080001", "#090001", "#0a0001", "#0b0001", "#0c0001")
FIRST, SECOND = SERIES[0], SERIES[1]

VARIABLES: Final = {
    INK: "var(--mark)",
    SOFT: "var(--soft)",
    LINE: "var(--line)",
    BAND: "var(--band)",
    PAPER: "var(--paper)",
    BAD: "var(--bad)",
    **{colour: f"var(--s{number})" for number, colour in enumerate(SERIES, 1)},
}

Look = dict[str, Any]
"""What a drawing function of matplotlib takes."""
MARKERS: Final = ("o", "s", "^", "D", "v", "P")
DASHES: Final = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 1.5)), (0, (8, 2, 1, 2, 1, 2)))
