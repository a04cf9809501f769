"""Computes an expression over a batch: NumPy calls, and nothing else, for the nodes of a tree that was parsed.

Everything is float64, comparisons are 1 and 0. The first axis counts samples and is never reduced, moved or picked
from, so that what a sample gets does not depend on those beside it. Two arrays have the same axes, or one of them is
one number a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import numpy as np

from enxuto.errors import BadInput
from enxuto.expression import Call, Name, Node, Number, Operation, Pick, parse, pointed_at

Read = Callable[[Name], np.ndarray]
"""The array of a name, the first axis counts samples; raises LookupError with the reason."""
_MOST_ELEMENTS = 1 << 24
"""Of what two arrays broadcast to, where it is more than either."""

_OF_ONE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "round": np.round,
    "sigmoid": lambda x: np.exp(-np.logaddexp(0, -x)),
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "-": np.negative,
    "not": lambda x: x == 0,
}
_OF_TWO: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
    "equal": np.equal,
    "and": lambda x, y: (x != 0) & (y != 0),
    "or": lambda x, y: (x != 0) | (y != 0),
    "min": np.minimum,
    "max": np.maximum,
}
_OF_THREE: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "where": lambda condition, yes, no: np.where(condition != 0, yes, no),
}
_REDUCING: dict[str, Callable[..., np.ndarray]] = {
    "mean": np.mean,
    "sum": np.sum,
    "min": np.min,
    "max": np.max,
    "norm": lambda x, axis, keepdims=False: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims)),
}


class Formula:
    """An expression, ready to be computed batch by batch."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tree = parse(text)

    def __call__(self, read: Read, count: int) -> np.ndarray:
        """One number for each of ``count`` samples.

        Raises:
            BadInput: shapes do not go together, a name is not there, or a number is not finite.
        """
        self._read = read
        with np.errstate(all="ignore"):
            result = self._value(self._tree)
        if result.shape != (count,):
            hint = "it is a constant" if result.ndim == 0 else "mean(…) or sum(…) makes one number of each sample"
            self._refuse(self._tree, f"the result has the shape {list(result.shape)}, not [{count}]: {hint}")
        if not np.isfinite(result).all():
            ruined = np.count_nonzero(~np.isfinite(result))
            self._refuse(self._tree, f"{ruined} of {count} samples in a batch come to NaN or infinity")
        return result

    def _value(self, node: Node) -> np.ndarray:
        match node:
            case Number():
                return np.asarray(node.value)
            case Name():
                return self._named(node)
            case Pick():
                return self._picked(node)
            case Operation():
                return self._computed(node, node.operator, [self._value(one) for one in node.operands])
            case Call():
                return self._called(node, [self._value(one) for one in node.arguments])
        raise AssertionError(f"{node} is no node of an expression")

    def _named(self, node: Name) -> np.ndarray:
        try:
            array = self._read(node)
        except LookupError as error:
            self._refuse(node, str(error.args[0]))
        if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
            self._refuse(node, f"this array holds {array.dtype}, and only numbers can be judged")
        return array.astype(np.float64)

    def _picked(self, node: Pick) -> np.ndarray:
        array = self._value(node.of)
        if array.ndim < 1 + len(node.items):
            self._refuse(node, f"an array of the shape {list(array.shape)} has no {len(node.items) + 1} axes")
        items = tuple(one if isinstance(one, int) else slice(*one) for one in node.items)
        try:
            return np.asarray(array[(slice(None), *items)])
        except IndexError as error:
            self._refuse(node, f"{error} in the shape {list(array.shape)}")

    def _called(self, node: Call, given: list[np.ndarray]) -> np.ndarray:
        if node.function == "cosine":
            return self._cosine(node, *given)
        if node.function == "take":
            return self._taken(node, *given)
        if node.function in ("argmax", "softmax"):
            (axis,) = self._axes(node, given[0], node.axes or (-1,))
            return (
                given[0].argmax(axis=axis).astype(np.float64) if node.function == "argmax" else _softmax(given[0], axis)
            )
        if node.function in _REDUCING and len(given) == 1:
            return self._reduced(node, given[0])
        return self._computed(node, node.function, given)

    def _computed(self, node: Node, name: str, given: list[np.ndarray]) -> np.ndarray:
        """Element by element."""
        aligned = self._aligned(node, given)
        match aligned:
            case [one]:
                result = _OF_ONE[name](one)
            case [one, other]:
                result = _OF_TWO[name](one, other)
            case _:
                result = _OF_THREE[name](*aligned)
        return np.asarray(result, dtype=np.float64)

    def _aligned(self, node: Node, given: list[np.ndarray]) -> list[np.ndarray]:
        """One number a sample stands beside any array; all others have as many axes as each other."""
        axes = max(array.ndim for array in given)
        shapes = [list(array.shape) for array in given if array.ndim]
        if any(array.ndim not in (0, 1, axes) for array in given):
            self._refuse(node, f"arrays of the shapes {_listed(shapes)} do not go together")
        wide = [array.reshape(-1, *[1] * (axes - 1)) if array.ndim == 1 < axes else array for array in given]
        try:
            size = int(np.prod(np.broadcast_shapes(*[array.shape for array in wide]), dtype=np.float64))
        except ValueError:
            self._refuse(node, f"arrays of the shapes {_listed(shapes)} do not go together")
        if size > max(_MOST_ELEMENTS, *[array.size for array in wide]):
            self._refuse(node, f"{_listed(shapes)} come to {size:,} elements, more than is computed here")
        return wide

    def _reduced(self, node: Call, array: np.ndarray) -> np.ndarray:
        if array.ndim == 0:
            self._refuse(node, f"{node.function} of a constant")
        axes = self._axes(node, array, node.axes) if node.axes else tuple(range(1, array.ndim))
        if not axes:  # one number a sample already
            return np.abs(array) if node.function == "norm" else array
        if not all(array.shape[axis] for axis in axes):
            self._refuse(node, f"an array of the shape {list(array.shape)} is empty")
        return np.asarray(_REDUCING[node.function](array, axis=axes, keepdims=node.keep))

    def _axes(self, node: Call, array: np.ndarray, axes: tuple[int, ...]) -> tuple[int, ...]:
        """Counted from the front; none of them the samples'."""
        found = tuple(axis + array.ndim if axis < 0 else axis for axis in axes)
        if any(not 0 < axis < array.ndim for axis in found) or len(set(found)) < len(found):
            asked = ", ".join(str(axis) for axis in axes)
            self._refuse(node, f"an array of the shape {list(array.shape)} has no axis {asked} beside the samples'")
        if node.function in ("argmax", "softmax") and not array.shape[found[0]]:
            self._refuse(node, f"an array of the shape {list(array.shape)} is empty")
        return found

    def _cosine(self, node: Call, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        one, other = self._aligned(node, [one, other])
        if one.shape != other.shape or one.ndim < 2:
            self._refuse(node, f"cosine wants two arrays alike, not {list(one.shape)} and {list(other.shape)}")
        axes = self._axes(node, one, node.axes) if node.axes else tuple(range(1, one.ndim))
        lengths = np.sqrt((one * one).sum(axis=axes) * (other * other).sum(axis=axes))
        return np.asarray((one * other).sum(axis=axes) / np.where(lengths > 0, lengths, 1))

    def _taken(self, node: Call, array: np.ndarray, places: np.ndarray) -> np.ndarray:
        if array.ndim < 2 or places.shape != array.shape[:-1]:
            self._refuse(
                node, f"take picks along the last axis: {list(array.shape)} wants places of the shape "
                f"{list(array.shape[:-1])}, not {list(places.shape)}"
            )  # fmt: skip
        whole = places.astype(np.int64)
        if (whole != places).any() or (whole < 0).any() or (whole >= array.shape[-1]).any():
            self._refuse(node, f"take wants whole numbers from 0 to {array.shape[-1] - 1}")
        return np.take_along_axis(array, whole[..., None], axis=-1)[..., 0]

    def _refuse(self, node: Node, problem: str) -> NoReturn:
        raise BadInput(
            f"{problem}\n{pointed_at(self._text, node.at)}",
            code="expression_fails",
            hint="Correct the expression; docs/metrics.md says what there is.",
        )


def _softmax(array: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(array - array.max(axis=axis, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=axis, keepdims=True)
    return shares


def _listed(shapes: list[list[int]]) -> str:
    return " and ".join(str(shape) for shape in shapes)
