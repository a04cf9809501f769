"""Goes through the tokens of an expression: what comes next, what must come, and the constants among them."""

from __future__ import annotations

from enxuto.expression.place import ExpressionError
from enxuto.expression.tokens import Token, tokens
from enxuto.expression.words import CONSTANTS, WORD_OPERATORS

Index = int | tuple[int | None, int | None]
_LARGEST_AXIS = 64
_DIGITS = 9


class Cursor:
    """A place among the tokens of a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._position = 0

    @property
    def next(self) -> Token:
        return self._tokens[self._position]

    @property
    def after_next(self) -> Token:
        return self._tokens[min(self._position + 1, len(self._tokens) - 1)]

    def take(self) -> Token:
        token = self.next
        self._position += token.kind != "end"
        return token

    def operator(self, *allowed: str) -> str | None:
        """The next operator where it is one of these; it is not taken yet."""
        token = self.next
        if token.kind not in ("operator", "name"):
            return None
        meant = WORD_OPERATORS.get(token.text, token.text)
        return meant if meant in allowed else None

    def expect(self, text: str) -> Token:
        if self.next.kind != "operator" or self.next.text != text:
            raise self.wrong(f"{text!r} was expected, not {self.shown()}")
        return self.take()

    def shown(self) -> str:
        return self.next.text if self.next.kind == "end" else repr(self.next.text)

    def wrong(self, problem: str, at: int | None = None) -> ExpressionError:
        return ExpressionError(problem, self._text, self.next.at if at is None else at)

    def integer(self, problem: str) -> int:
        at = self.next.at
        negative = bool(self.operator("-"))
        if negative:
            self.take()
        token = self.take()
        if token.kind != "number" or not token.text.isdecimal() or len(token.text) > _DIGITS:
            raise self.wrong(problem, at)
        return -int(token.text) if negative else int(token.text)

    def flag(self, name: str) -> int:
        token = self.take()
        if token.text.lower() not in CONSTANTS:
            raise self.wrong(f"{name} is true or false", token.at)
        return CONSTANTS[token.text.lower()]

    def axes(self) -> tuple[int, ...]:
        """``-1`` or ``(1, 2)``."""
        if not self.operator("("):
            return (self._axis(),)
        self.take()
        axes = [self._axis()]
        while self.operator(","):
            self.take()
            axes.append(self._axis())
        self.expect(")")
        return tuple(axes)

    def _axis(self) -> int:
        at = self.next.at
        axis = self.integer("an axis is a whole number")
        if axis == 0:
            raise self.wrong("axis 0 counts samples: every sample is judged by itself", at)
        if abs(axis) > _LARGEST_AXIS:
            raise self.wrong(f"no array has {abs(axis)} axes", at)
        return axis

    def items(self) -> tuple[Index, ...]:
        """What stands in brackets, without the first ``:``, which stands for the samples."""
        self.expect("[")
        at = self.next.at
        if self._item() != (None, None):
            raise self.wrong("the first axis counts samples, all of which are judged: write [:, …]", at)
        items = []
        while self.operator(","):
            self.take()
            items.append(self._item())
        self.expect("]")
        return tuple(items)

    def _item(self) -> Index:
        problem = "an index is a whole number or a slice such as 1:3"
        start = None if self.operator(":") else self.integer(problem)
        if start is not None and not self.operator(":"):
            return start
        self.take()
        return start, (None if self.operator(",", "]") else self.integer(problem))
