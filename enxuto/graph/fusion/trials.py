"""Made-up numbers to run a part of a graph on, of lengths and values at which whatever it does would show.

A window, or a table of positions, shows only in sequences that reach beyond it, and a token that stands for padding
only where it occurs. So lengths and values are taken from the part's own constants too, and where a mask may be read
off features, some of the tokens have nothing but such a value in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from enxuto.graph.fusion.match import number
from enxuto.graph.fusion.region import Region
from enxuto.graph.weights import is_constant

_SIZES = ((2, 5), (1, 1), (3, 9))
"""Batch and sequence, where a model leaves them open."""
_LONGEST = 1024
"""Beyond it, attention of one sample takes hundreds of megabytes."""
_NO_POSITION = 1 << 20
"""From here on a number is neither a position nor a token: it stands for a limit, or for all that there is."""
_KEPT = (0.5, 1.0, 0.0)
"""Shares of tokens that are not masked; tried in turn for every size."""
_COMPARING = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
_MOVING = frozenset({"Add", "Clip", "Div", "Max", "Min", "Mod", "Mul", "Range", "Sub", "Trilu"})

_MORE_KEYS = 2

Feeds = dict[ir.Value, np.ndarray]
_Size = tuple[int, int, int]
"""Samples, queries and keys."""
_Known = tuple[int | None, int | None, int | None]
"""The same, as far as one value tells."""


@dataclass(frozen=True)
class Layout:
    """What is known of the values that a part reads."""

    widths: Mapping[ir.Value, int]
    """Of hidden states [batch, sequence, width] that normal numbers are drawn for."""
    sequence_first: frozenset[ir.Value] = frozenset()
    """Those, and others, that are [sequence, batch, …]."""
    of_keys: frozenset[ir.Value] | None = None
    """Where queries look at another sequence: what is as long as that one."""
    of_queries: frozenset[ir.Value] = frozenset()

    def as_long_as_keys(self, value: ir.Value) -> bool:
        """Masks hide keys."""
        if self.of_keys is None:
            return False
        return value in self.of_keys or (value not in self.of_queries and len(value.shape or ()) == 2)


@dataclass(frozen=True)
class Trial:
    feeds: Feeds
    all_masked: bool
    """Whether every token is, where there is a mask."""


def trials(region: Region, layout: Layout, random: np.random.Generator) -> list[Trial]:
    """Of a part that reads hidden states, and masks or tokens; the smallest first.

    Empty where some input's shape is not known, and where what the part does may show in no sequence that can be run.
    """
    if not all(_drawable(value) for value in region.inputs):
        return []
    values, positions = _numbers(region)
    furthest = max(positions, default=0)
    read = dict.fromkeys([*layout.widths, *region.inputs])
    known = [_known(value, layout) for value in read]
    if furthest + 2 > _LONGEST and _size(known, layout, 1, 0)[1] == 0:
        return []
    longest = min(max([2 * furthest + 2, *_table_lengths(region)]), _LONGEST)
    tokens = sorted({round(one) for one in values} - {0, 1})
    few = [0, 1, *(near for one in tokens for near in (one - 1, one, one + 1))]
    sizes = [(size, kept) for size in dict.fromkeys(_size(known, layout, *size) for size in _SIZES) for kept in _KEPT]
    drawn = [Trial(_drawn(region, layout, size, [0, 1], kept, random), not kept) for size, kept in sizes]
    if tokens:
        size = _size(known, layout, *_SIZES[-1])
        drawn.append(Trial(_drawn(region, layout, size, few, 0.5, random), False))
    if any(_may_be_blank(value, layout) for value in region.inputs):
        feeds = _drawn(region, layout, _size(known, layout, *_SIZES[-1]), [0, 1], 1.0, random)
        drawn += [Trial(_with_blanks(feeds, blank, layout, random), False) for blank in (0.0, 1.0, *sorted(values))]
    if longest > max(sequence for _, sequence in _SIZES):
        size = _size(known, layout, 1, longest)
        drawn.append(Trial(_drawn(region, layout, size, [0, 1], 1.0, random), False))
    return drawn


def _numbers(region: Region) -> tuple[set[float], set[int]]:
    """What tokens are compared with, 0 and 1 apart, and what positions are."""
    values, positions = set[float](), set[int]()
    fed = set(region.inputs)
    for node in region.nodes:
        given = [value for value in node.inputs if value is not None]
        reads = node.op_type not in ("Shape", "Size") and not fed.isdisjoint(given)
        if reads:
            fed.update(node.outputs)
        found = {one for value in given if (one := _counted(node, value)) is not None and abs(one) < _NO_POSITION}
        if not reads:
            positions |= {abs(round(one)) for one in found}
        elif node.op_type in _COMPARING:
            values |= found - {0, 1}
    return values, positions


def _may_be_blank(value: ir.Value, layout: Layout) -> bool:
    """A number or a vector of features for each token."""
    return value not in layout.widths and value.dtype == ir.DataType.FLOAT and len(value.shape or ()) in (2, 3)


def _with_blanks(feeds: Feeds, blank: float, layout: Layout, random: np.random.Generator) -> Feeds:
    """With normal numbers for features, and one and the same in all features of about every other token."""
    drawn = dict(feeds)
    for value, array in feeds.items():
        if _may_be_blank(value, layout):
            kept = random.random(array.shape[:2]).reshape(*array.shape[:2], *[1] * (array.ndim - 2)) < 0.5
            shown = random.standard_normal(array.shape, dtype=np.float32) if array.ndim == 3 else array
            drawn[value] = np.where(kept, shown, np.float32(blank))
    return drawn


def _counted(node: ir.Node, value: ir.Value) -> float | None:
    """A constant that tokens or positions may be counted by: a whole number, or any that is compared with."""
    whole = value.dtype is not None and value.dtype.is_integer()
    counts = node.op_type in _COMPARING or (whole and node.op_type in _MOVING)
    found = number(value) if counts else None
    return found if found is not None and np.isfinite(found) else None


def _table_lengths(region: Region) -> Iterator[int]:
    for value in region.constants:
        if is_constant(value) and value.const_value is not None:
            yield max(value.const_value.shape.numpy(), default=0)


def _drawable(value: ir.Value) -> bool:
    """Of an input with more than three axes, such as an image, all but the batch must be known."""
    shape = value.shape or ()
    return (
        value.dtype is not None
        and len(shape) >= 2
        and all(isinstance(dim, int) for dim in shape[3:])
        and (len(shape) <= 3 or all(isinstance(dim, int) for dim in shape[1:]))
    )


def _known(value: ir.Value, layout: Layout) -> _Known:
    """The sizes that the model fixes, of hidden states, masks and tokens."""
    if value.shape is None or len(value.shape) not in (2, 3):
        return None, None, None
    given = [dim if isinstance(dim, int) else None for dim in value.shape]
    batch, length = (given[1], given[0]) if value in layout.sequence_first else given[:2]
    return (batch, None, length) if layout.as_long_as_keys(value) else (batch, length, None)


def _size(known: Sequence[_Known], layout: Layout, batch: int, sequence: int) -> _Size:
    """As wanted, or as the model fixes it; keys of another sequence are not as long as queries."""
    keys = None
    for given in known:
        batch, sequence, keys = given[0] or batch, given[1] or sequence, given[2] or keys
    return batch, sequence, sequence if layout.of_keys is None else keys or sequence + _MORE_KEYS


def _drawn(
    region: Region, layout: Layout, size: _Size, tokens: Sequence[int], kept: float,
    random: np.random.Generator,
) -> Feeds:  # fmt: skip
    """Normal numbers for hidden states; for others, the first of the tokens where nothing is kept."""
    feeds = {}
    for value in region.inputs:
        width = layout.widths.get(value)
        pair = size[0], size[2 if layout.as_long_as_keys(value) else 1]
        lengths = reversed(pair) if value in layout.sequence_first else pair
        sizes = (*lengths, width or max(layout.widths.values()))
        feeds[value] = _array(value, sizes, tokens, kept, random, real=width is not None)
    return feeds


def _array(
    value: ir.Value, size: Sequence[int], tokens: Sequence[int], kept: float, random: np.random.Generator, *, real: bool
) -> np.ndarray:
    given = zip(value.shape or (), size, strict=False)
    shape = [dim if isinstance(dim, int) else wanted for dim, wanted in given]
    shape += [dim for dim in list(value.shape or ())[len(size) :] if isinstance(dim, int)]
    if real:
        return random.standard_normal(shape, dtype=np.float32)
    dtype = (value.dtype or ir.DataType.FLOAT).numpy()
    if len(tokens) > 2 and dtype.kind in "iu":
        return random.choice(np.array(tokens), shape).astype(dtype)
    return (random.random(shape) < kept).astype(dtype)
