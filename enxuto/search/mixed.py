"""Which layers to keep in floating point: solved from scores that are stored, for any goal, without measuring anew.

Errors of layers are nearly uncorrelated, so that the power of a mixture's error is the sum of its parts (see
``enxuto.judge.sensitivity``), and its time is the sum of its layers' times and of what changing between floats and
integers takes at each border. The best mixture for a price of noise is then found exactly, along the graph's order, by
dynamic programming; prices between nothing and everything give the mixtures that no other beats, a convex hull of time
against noise. HAWQ-V3 (Yao et al., "Dyadic Neural Network Quantization", 2021) solves the same sum as an integer
program under a limit, and AutoQuantize of NVIDIA's Model Optimizer likewise; neither knows what borders take.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from enxuto.goal import Goal
from enxuto.report import LayerScore

_MOST = 4
_STEPS_DB = (3.0, 6.0, 10.0)
"""How much less noise than with everything quantized is tried for, where nothing tells what the goal wants."""
_SAFETY = 2.0
"""A drop does not follow the noise exactly: aim for this much less of it than the limit would allow."""
_PRICES = 48
_SPAN_DB = 100.0
"""Of the prices that are tried."""
_WORTH_IT = 0.01
"""Share of a mixture's time that a proposal must save, or of its noise, to be told apart from another."""


@dataclass(frozen=True)
class Mixture:
    """What runs in integers while some layers are kept in floating point."""

    layers: frozenset[str]
    tensors: frozenset[str]
    """Quantized ones."""


def solve_mixed(layers: Sequence[LayerScore], goal: Goal, drop: float | None = None) -> list[list[str]]:
    """Names of layers to exclude, a list for each mixture that is worth a try; at most 4, the cheapest first.

    The first leaves out what is faster in floating point, where anything is; the others buy accuracy for time, or for
    bytes where small files or little memory are asked for or no times are known. ``drop`` is the loss that was measured
    with everything quantized: with it, the mixture is aimed at the goal's limit. They are predictions: measure what is
    proposed.
    """
    by_size = goal.objective in ("size", "memory") or not any(_is_timed(layer) for layer in layers)
    cost = _bytes_kept if by_size else _time_us
    everything = predicted_noise(layers)
    wanted = [math.inf, *_limits(everything, goal, drop)]
    mixtures = list(_mixtures(layers, cost, everything))
    found: list[tuple[str, ...]] = []
    for limit in wanted:
        fitting = [one for one in mixtures if predicted_noise(layers, one) <= limit]
        if fitting:
            found.append(min(fitting, key=lambda one: (_cost(layers, one, cost), len(one), one)))
    return [list(one) for one in dict.fromkeys(found) if one and not _is_all(layers, one)][:_MOST]


def mixture(layers: Sequence[LayerScore], excluded: Collection[str]) -> Mixture:
    """What is left in integers, as ``enxuto.quantization.placement`` decides it on the graph itself."""
    left = [layer for layer in layers if layer.name not in excluded]
    chosen = [layer for layer in left if not layer.follows]
    wanted = {tensor for layer in chosen for tensor in layer.tensor_noise}
    written = {layer.writes for layer in chosen}
    reached = []
    for layer in left:
        if layer.follows and any(tensor in written for tensor in layer.tensor_noise if tensor != layer.writes):
            written.add(layer.writes)
            reached.append(layer)
    active = {layer.name for layer in chosen}
    for layer in reversed(reached):
        if layer.writes in wanted:
            wanted.update(layer.tensor_noise)
            active.add(layer.name)
    return Mixture(frozenset(active), frozenset(wanted))


def predicted_noise(layers: Sequence[LayerScore], excluded: Collection[str] = ()) -> float:
    """Power of the error at the outputs, as a share of the outputs' power."""
    mixed = mixture(layers, excluded)
    tensors = {tensor: noise for layer in layers for tensor, noise in layer.tensor_noise.items()}
    own = sum(_own(layer) for layer in layers if layer.name in mixed.layers)
    return own + sum(noise for tensor, noise in tensors.items() if tensor in mixed.tensors)


def predicted_sqnr_db(layers: Sequence[LayerScore], excluded: Collection[str] = ()) -> float | None:
    """Null where nothing is left that makes noise."""
    noise = predicted_noise(layers, excluded)
    return -10 * math.log10(noise) if noise else None


def predicted_time_us(layers: Sequence[LayerScore], excluded: Collection[str] = ()) -> float:
    """Of these layers in one call, with what their borders take; layers whose times are not known count nothing."""
    return _cost(layers, excluded, _time_us)


_Cost = Callable[[LayerScore, bool], float]
"""Of a layer that is kept in floating point, or is not."""


def _time_us(layer: LayerScore, kept: bool) -> float:
    return ((layer.before_us if kept else layer.after_us) or 0.0) if _is_timed(layer) else 0.0


def _bytes_kept(layer: LayerScore, kept: bool) -> float:
    return float(layer.bytes_saved) if kept else 0.0


def _is_timed(layer: LayerScore) -> bool:
    return layer.before_us is not None and layer.after_us is not None


def _own(layer: LayerScore) -> float:
    return layer.noise if layer.own_noise is None else layer.own_noise


def _limits(everything: float, goal: Goal, drop: float | None) -> list[float]:
    """Of noise, the loosest first."""
    steps = [everything / 10 ** (db / 10) for db in _STEPS_DB]
    if goal.max_drop is None or drop is None or drop <= 0:
        return steps
    aimed = everything * goal.max_drop.value / drop / _SAFETY
    return sorted({aimed, aimed / _SAFETY, steps[0]}, reverse=True) if aimed < everything else steps[:1]


def _is_all(layers: Sequence[LayerScore], excluded: Collection[str]) -> bool:
    return all(layer.name in excluded for layer in layers if not layer.follows)


def _cost(layers: Sequence[LayerScore], excluded: Collection[str], cost: _Cost) -> float:
    active = mixture(layers, excluded).layers
    total = sum(cost(layer, layer.name not in active) for layer in layers)
    return total + (_borders_us(layers, active) if cost is _time_us else 0.0)


def _borders_us(layers: Sequence[LayerScore], active: Collection[str]) -> float:
    """Where a layer in floating point writes what one in integers reads, or the other way round."""
    readers: dict[str, list[bool]] = {}
    for layer in layers:
        for tensor in layer.tensor_noise:
            if tensor != layer.writes:
                readers.setdefault(tensor, []).append(layer.name in active)
    return sum(
        layer.border_us or 0.0
        for layer in layers
        if layer.writes and (layer.name not in active) in readers.get(layer.writes, [])
    )


def _mixtures(layers: Sequence[LayerScore], cost: _Cost, everything: float) -> Iterator[tuple[str, ...]]:
    """The best for each price of noise, from none at all to one at which time counts for nothing."""
    whole = sum(abs(cost(layer, True)) + abs(cost(layer, False)) for layer in layers) or 1.0
    scale = whole / everything if everything else 0.0
    exponents = [_SPAN_DB / 10 * (step / _PRICES - 0.5) for step in range(_PRICES)]
    prices = [0.0, *(scale * 10**exponent for exponent in exponents)]
    segments = list(_segments(layers))
    seen: set[tuple[str, ...]] = set()
    for price in prices:
        best = _best(segments, cost, price)
        if best not in seen:
            seen.add(best)
            yield best


def _segments(layers: Sequence[LayerScore]) -> Iterator[list[LayerScore]]:
    """A layer with what follows it, up to the next one."""
    segment: list[LayerScore] = []
    for layer in layers:
        if segment and not layer.follows:
            yield segment
            segment = []
        segment.append(layer)
    if segment:
        yield segment


def _best(segments: Sequence[Sequence[LayerScore]], cost: _Cost, price: float) -> tuple[str, ...]:
    """Viterbi's algorithm over two states, floats and integers: least cost plus price times noise."""
    best: dict[bool, tuple[float, tuple[str, ...]]] = {False: (0.0, ()), True: (0.0, ())}
    border = 0.0
    for segment in segments:
        names = tuple(layer.name for layer in segment if not layer.follows)
        noise = sum(_read_noise(layer) for layer in segment)
        step = {
            kept: sum(cost(layer, kept) for layer in segment) + (0.0 if kept else price * noise)
            for kept in (False, True)
        }
        best = {
            kept: min(
                (total + (border if kept is not before else 0.0) + step[kept], chosen + (names if kept else ()))
                for before, (total, chosen) in best.items()
            )
            for kept in (False, True)
        }
        border = (segment[-1].border_us or 0.0) if cost is _time_us else 0.0
    return min(best.values())[1]


def _read_noise(layer: LayerScore) -> float:
    """Its own and that of what it reads: what it writes is counted where it is read."""
    return _own(layer) + sum(noise for tensor, noise in layer.tensor_noise.items() if tensor != layer.writes)
