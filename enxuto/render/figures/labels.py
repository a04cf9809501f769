"""Where the labels of points stand, so that none lies on another one."""

from __future__ import annotations

from collections.abc import Sequence
from math import dist

from matplotlib.axes import Axes

Box = tuple[float, float, float, float]
"""Left, bottom, right, top, in pixels."""
_PLACES = [
    (dx, dy, align)
    for far in (1, 2.2, 3.4)
    for dx, dy, align in (
        (9 * far, 0, "left"), (-9 * far, 0, "right"), (0, 11 * far, "center"), (0, -11 * far, "center"),
        (8 * far, 10 * far, "left"), (8 * far, -10 * far, "left"), (-8 * far, 10 * far, "right"),
        (-8 * far, -10 * far, "right"),
    )
]  # fmt: skip
_HEIGHT, _WIDTH = 13.0, 8.0
"""Of a character, about."""


def place(axes: Axes, points: Sequence[tuple[float, float, str, str]], size: float = 11.5) -> None:
    """``points``: x, y, label and colour. Limits and scales must stand already."""
    figure = axes.get_figure(root=True)
    if figure is None or not points:
        return
    figure.draw_without_rendering()
    at = [_pixels(axes, x, y) for x, y, _, _ in points]
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in at]
    for own, (x, y, text, colour) in zip(at, points, strict=True):
        badness = [_badness(own, spot, text, at, taken, axes) for spot in _PLACES]
        best = _PLACES[badness.index(min(badness))]
        taken.append(_box(own, best, text))
        far = abs(best[0]) + abs(best[1]) > 24
        axes.annotate(
            text, (x, y), (best[0], best[1]), textcoords="offset points", ha=best[2], va="center", fontsize=size,
            color=colour,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.7, "shrinkA": 0, "shrinkB": 3} if far else None,
        )  # fmt: skip


def _badness(
    own: tuple[float, float], spot: tuple[float, float, str], text: str, at: Sequence[tuple[float, float]],
    taken: Sequence[Box], axes: Axes,
) -> float:  # fmt: skip
    box = _box(own, spot, text)
    inside = axes.bbox
    outside = box[0] < inside.x0 or box[2] > inside.x1 or box[1] < inside.y0 or box[3] > inside.y1 + 8
    covered = sum(_overlap(box, other) for other in taken)
    return covered + 1000 * float(outside) + 80 * _nearer(box, own, at) + 0.5 * (abs(spot[0]) + abs(spot[1]))


def _pixels(axes: Axes, x: float, y: float) -> tuple[float, float]:
    at_x, at_y = axes.transData.transform((x, y))
    return float(at_x), float(at_y)


def _box(own: tuple[float, float], spot: tuple[float, float, str], text: str) -> Box:
    width, (x, y) = _WIDTH * len(text), own
    left = x + spot[0] - {"left": 0.0, "right": width, "center": width / 2}[spot[2]]
    return left, y + spot[1] - _HEIGHT / 2, left + width, y + spot[1] + _HEIGHT / 2


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def _nearer(box: Box, own: tuple[float, float], at: Sequence[tuple[float, float]]) -> bool:
    """Whether a label would be taken for that of another point."""
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    return any(dist(middle, other) < dist(middle, own) + 5 for other in at if dist(other, own) > 3)
