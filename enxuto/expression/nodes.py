"""What an expression is made of, once it was parsed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Node:
    """A part of an expression; ``at`` is its place in the text, ``depth`` how deep the tree below it goes."""

    at: int
    depth: int = field(default=1, kw_only=True)


@dataclass(frozen=True)
class Number(Node):
    value: float


@dataclass(frozen=True)
class Name(Node):
    """An array: ``space`` is one of outputs, inputs, original and labels; no ``name`` means the judged output."""

    space: str
    name: str | None = None


@dataclass(frozen=True)
class Operation(Node):
    """``+ - * / ** < <= > >= == != and or`` of two, ``not`` and ``-`` of one."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True)
class Call(Node):
    function: str
    arguments: tuple[Node, ...]
    axes: tuple[int, ...] | None = None
    keep: bool = False
    """Whether axes that were reduced stay, with one element."""


@dataclass(frozen=True)
class Pick(Node):
    """``x[:, 0, 1:3]``: an index, or the bounds of a slice, for each axis from the second one on."""

    of: Node
    items: tuple[int | tuple[int | None, int | None], ...]


def names_in(node: Node) -> Iterator[Name]:
    """Every array that an expression reads, in the order of the text."""
    match node:
        case Name():
            yield node
        case Operation(operands=inner) | Call(arguments=inner):
            for one in inner:
                yield from names_in(one)
        case Pick(of=of):
            yield from names_in(of)
