"""Channels of activations brought to like ranges before they are quantized with one step for all.

Source: Meller et al., "Same, Same But Different: Recovering Neural Network Quantization Error Through Weight
Factorization", 2019, by ranges of activations, and how far to go as in Xiao et al., "SmoothQuant", 2022: factors are
``(largest range / range of the channel) ** strength``. With a scale for each output channel, writers pay nothing;
readers pay where their inputs share a scale, so the strength is the one of least error by a model of both roundings.
A depthwise convolution has a scale for each input, and is free too.

An upper bound, as ReLU6 has it, does not let factors pass; but quantization itself cuts off at the largest value seen.
So bounds move there, and nobody needs them once ranges are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.quantization.affine import Range
from enxuto.quantization.channels import Shared, reads_channel, scaled, shared_channels
from enxuto.quantization.linear import Linear
from enxuto.quantization.placement import Placement
from enxuto.quantization.statistics import Channels, TensorStatistics

_STRENGTHS = tuple(step / 8 for step in range(7))
"""Never all the way: a channel that is rarely active has larger values among other samples than its range says."""
_LARGEST_FACTOR = 64.0
_ACTIVATION_STEPS, _WEIGHT_STEPS = 255.0, 127.0
_PEAK_OVER_RMS = 4.0
"""Of a channel's values: what is assumed for the size of signals, of which only the peak is known."""


@dataclass(frozen=True)
class Equalized:
    factors: Mapping[str, np.ndarray]
    """Of each channel, by the name of the tensor that was scaled."""
    clips: tuple[ir.Node, ...]
    """Whose upper bound is the largest value seen now: needed for as long as ranges are taken from the graph."""


def equalize(
    graph: ir.Graph, placement: Placement, linears: Sequence[Linear], seen: Mapping[str, TensorStatistics]
) -> Equalized:
    """Edit the graph in place."""
    editor = Editor(graph)
    clips: list[ir.Node] = []
    factors: dict[str, np.ndarray] = {}
    outputs: dict[ir.Node, np.ndarray] = {}
    inputs: dict[ir.Node, np.ndarray] = {}
    integer = {*(one.node for one in placement.linears), *placement.followers}
    for shared in shared_channels(graph, linears):
        if not all(_is_cut_off(clip.outputs[0], placement, integer) for clip in shared.clips):
            continue
        found = _factors(shared, placement, seen)
        if found is None:
            continue
        factors.update({str(value.name): found for value in shared.tensors})
        outputs.update({one.node: found for one in shared.writers})
        inputs.update({one.node: found for one in shared.readers})
        for clip in shared.clips:
            _move_upper_bound(editor, clip, seen, found)
        clips += shared.clips
    for linear in linears:
        if linear.node in outputs or linear.node in inputs:
            _rescale(editor, linear, outputs.get(linear.node), inputs.get(linear.node))
    return Equalized(factors, tuple(clips))


def scaled_statistics(seen: TensorStatistics, factors: np.ndarray) -> TensorStatistics | None:
    """What the same pass would have found behind the factors, but for the histogram; None where it cannot be told."""
    channels = seen.channels
    if channels is None or seen.extremes is None or len(channels.mean) != len(factors):
        return None
    after = Channels(channels.low * factors, channels.high * factors, channels.mean * factors)
    return replace(seen, channels=after, extremes=Range(float(after.low.min()), float(after.high.max())))


def _is_cut_off(value: ir.Value, placement: Placement, integer: AbstractSet[ir.Node]) -> bool:
    """Whether everybody reads the value quantized, so that it never exceeds the largest value seen."""
    if value not in placement.range_of:
        return False
    return value in placement.written or all(use.node in integer for use in value.uses())


def _factors(shared: Shared, placement: Placement, seen: Mapping[str, TensorStatistics]) -> np.ndarray | None:
    quantized = [value for value in shared.tensors if placement.range_of.get(value) is value]
    found = [seen.get(str(value.name)) for value in quantized]
    peaks = [one.channels.peak for one in found if one is not None and one.channels is not None and not one.not_finite]
    if not peaks or len(peaks) < len(found) or any(len(each) != shared.channels for each in peaks):
        return None
    relative = np.max([each / max(each.max(), 1e-30) for each in peaks], axis=0)
    if relative.max() <= 0:
        return None
    candidates = [_to_strength(relative, strength) for strength in _STRENGTHS]
    errors = [_error(shared, peaks, each) for each in candidates]
    best = candidates[int(np.argmin(errors))]
    return best if best.max() > 1 else None


def _to_strength(relative: np.ndarray, strength: float) -> np.ndarray:
    raised: np.ndarray = np.maximum(relative, 1 / _LARGEST_FACTOR) ** -strength
    return raised


def _error(shared: Shared, peaks: Sequence[np.ndarray], factors: np.ndarray) -> float:
    """Mean square at the readers' outputs, up to a constant: from rounding activations, and from rounding weights."""
    total = 0.0
    steps = sum(float((each * factors).max() / _ACTIVATION_STEPS) ** 2 for each in peaks)
    signal = np.max(peaks, axis=0) / _PEAK_OVER_RMS
    for reader in shared.readers:
        weight = reads_channel(reader)
        groups, _, each, taps = weight.shape
        by_input = np.square(weight).sum(axis=(1, 3)).reshape(-1)
        total += steps * float((by_input / factors**2).sum())
        after = np.abs(weight).max(axis=3) / factors.reshape(groups, 1, each)
        widths = after.max(axis=2) / _WEIGHT_STEPS
        power = taps * np.square(signal * factors).reshape(groups, each).sum(axis=1)
        total += float((np.square(widths).sum(axis=1) * power).sum())
    return total


def _move_upper_bound(editor: Editor, clip: ir.Node, seen: Mapping[str, TensorStatistics], factors: np.ndarray) -> None:
    name = str(clip.outputs[0].name)
    scaled_now = scaled_statistics(seen[name], factors)
    if scaled_now is not None and scaled_now.extremes is not None:
        bound = editor.weight(f"{name}_bound", np.array(scaled_now.extremes.high, np.float32))
        clip.replace_input_with(2, bound)


def without_upper_bound(clip: ir.Node) -> None:
    """Put a ReLU in its place, whose output takes the name of the old one."""
    graph = clip.graph
    if graph is None:
        return
    relu = ir.node("Relu", [clip.inputs[0]], name=clip.name)
    old, new = clip.outputs[0], relu.outputs[0]
    new.type, new.shape = old.type, old.shape
    graph.insert_before(clip, relu)
    old.replace_all_uses_with(new)
    name = old.name
    graph.remove(clip, safe=True)
    old.name = None
    new.name = name


def _rescale(editor: Editor, linear: Linear, outputs: np.ndarray | None, inputs: np.ndarray | None) -> None:
    node = linear.node
    weight, bias = scaled(linear, outputs, inputs)
    node.replace_input_with(1, editor.weight(f"{node.outputs[0].name}_w", weight))
    if bias is not None:
        node.replace_input_with(2, editor.weight(f"{node.outputs[0].name}_b", bias))
    for factor in ("alpha", "beta"):
        node.attributes.pop(factor, None)
