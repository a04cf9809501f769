"""The names and functions of the language, with what each of them takes."""

from __future__ import annotations

from dataclasses import dataclass

SPACES = ("outputs", "inputs", "original")
"""Names that hold arrays by name: ``outputs.logits``, ``inputs["x:0"]``, ``original.logits`` (of the FP32 model)."""
ARRAYS = ("output", "original", "labels")
"""Names that are arrays: the judged output, the original's, and the labels."""
NAMES = ("inputs", "labels", "original", "output", "outputs")


@dataclass(frozen=True)
class Function:
    """How many arrays a function takes, and which of ``axis`` and ``keepdims`` besides."""

    least: int
    most: int
    options: frozenset[str] = frozenset()


_REDUCING = frozenset({"axis", "keepdims"})
_ALONG = frozenset({"axis"})
FUNCTIONS: dict[str, Function] = {
    "abs": Function(1, 1),
    "argmax": Function(1, 1, _ALONG),
    "clip": Function(3, 3),
    "cosine": Function(2, 2, _ALONG),
    "equal": Function(2, 2),
    "exp": Function(1, 1),
    "log": Function(1, 1),
    "max": Function(1, 2, _REDUCING),
    "mean": Function(1, 1, _REDUCING),
    "min": Function(1, 2, _REDUCING),
    "norm": Function(1, 1, _REDUCING),
    "round": Function(1, 1),
    "sigmoid": Function(1, 1),
    "softmax": Function(1, 1, _ALONG),
    "sqrt": Function(1, 1),
    "sum": Function(1, 1, _REDUCING),
    "take": Function(2, 2),
    "tanh": Function(1, 1),
    "where": Function(3, 3),
}
"""What reduces does so over every axis but the samples', unless an axis is given; ``argmax`` and ``softmax`` work along
the last axis. ``min`` and ``max`` of two arrays are taken element by element. ``take(x, i)`` picks the i-th along the
last axis, as a label picks its class."""

WORD_OPERATORS = {"and": "and", "&": "and", "or": "or", "|": "or", "not": "not", "~": "not"}
CONSTANTS = {"true": 1, "false": 0}
