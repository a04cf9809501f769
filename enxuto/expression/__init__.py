"""The small language in which a user says what a metric is: parsed by our own parser, never run as Python.

A value is an array whose first axis counts samples, or a plain number. What there is to say is in
`enxuto.expression.words`; `enxuto.judge.formula` computes it. Light: the API checks expressions with it.
"""

from enxuto.expression.nodes import Call, Name, Node, Number, Operation, Pick, names_in
from enxuto.expression.parse import MOST_CHARACTERS, parse
from enxuto.expression.place import ExpressionError, pointed_at

__all__ = [
    "MOST_CHARACTERS",
    "Call",
    "ExpressionError",
    "Name",
    "Node",
    "Number",
    "Operation",
    "Pick",
    "names_in",
    "parse",
    "pointed_at",
]
