"""Cuts the text of an expression into numbers, names, quoted names and operators."""

from __future__ import annotations

import re
from typing import NamedTuple

from enxuto.expression.place import ExpressionError


class Token(NamedTuple):
    kind: str
    """``number``, ``name``, ``quoted``, ``operator`` or ``end``."""
    text: str
    at: int


_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<name>[A-Za-z_]\w*)
    |"(?P<double>[^"]*)"|'(?P<single>[^']*)'
    |(?P<operator>\*\*|<=|>=|==|!=|[-+*/<>=&|~()\[\],:.])
    )""",
    re.VERBOSE | re.ASCII,
)


def tokens(text: str) -> list[Token]:
    """Ends with a token of the kind ``end``. Raises ExpressionError at a character that starts nothing."""
    found, position = [], 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            at = len(text) - len(text[position:].lstrip())
            raise ExpressionError(_unknown(text[at]), text, at)
        kind = str(match.lastgroup)
        quoted = kind in ("double", "single")
        found.append(Token("quoted" if quoted else kind, match[kind], match.start(kind) - quoted))
        position = match.end()
    return [*found, Token("end", "the end", len(text))]


def _unknown(character: str) -> str:
    if character in "\"'":
        return "a quoted name does not end"
    return f"{character!r} means nothing here"
