"""What is wrong with an expression, and where: the text with a caret under the place."""

from __future__ import annotations

_SHOWN = 72
"""Characters of a long expression that are shown around the place."""


class ExpressionError(ValueError):
    """The text is no expression; the message ends with the text and a caret."""

    def __init__(self, problem: str, text: str, at: int) -> None:
        super().__init__(f"{problem}\n{pointed_at(text, at)}")
        self.problem = problem
        self.at = at


def pointed_at(text: str, at: int) -> str:
    """Two lines: the text, or as much of it as fits around the place, and a caret below."""
    start = max(0, min(at - _SHOWN // 2, len(text) - _SHOWN))
    shown = text[start : start + _SHOWN]
    before, after = "…" * (start > 0), "…" * (start + _SHOWN < len(text))
    visible = "".join(" " if character.isspace() else character for character in shown)
    return f"  {before}{visible}{after}\n  {' ' * (len(before) + at - start)}^"
