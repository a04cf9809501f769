"""Weights of neighbouring layers brought to like ranges, channel by channel, without changing what a model computes.

Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, equations 8 to 11:
a channel that one layer writes with weights up to ``r1`` and the next reads with weights up to ``r2`` is divided by
``sqrt(r1 / r2)`` at one end and multiplied by it at the other, pair after pair until nothing moves. Between the two
stands nothing but activations that let a positive factor pass: ReLU, leaky and parametric, and none at all.

Chains of layers come out as with AIMET (docs/methods.md), which goes over them once and leaves out layers behind a sum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from enxuto.graph.edit import Editor
from enxuto.quantization.channels import Shared, reads_channel, scaled, shared_channels
from enxuto.quantization.linear import Linear, linears
from enxuto.quantization.points import OPERATORS

_ROUNDS = 100
_STILL = 1e-4
"""Of the largest logarithm of a factor in a round: from here on, nothing moves."""


@dataclass(frozen=True)
class Equalized:
    sets: int
    """Sets of tensors whose channels were scaled."""
    skipped: int
    """Sets that an upper bound, such as ReLU6's, kept as they are."""
    rounds: int


def equalize_weights(model: ir.Model) -> Equalized:
    """Edit a normalized model, with batch norms merged, in place."""
    found = {one.node: one for one in linears(model.graph, OPERATORS)}
    sets = shared_channels(model.graph, list(found.values()))
    free = [one for one in sets if not one.clips]
    current = dict(found)
    rounds = 0
    while rounds < _ROUNDS and max((_balance(one, current) for one in free), default=0.0) >= _STILL:
        rounds += 1
    editor = Editor(model.graph)
    for node, linear in current.items():
        if linear is not found[node]:
            _store(editor, linear)
    return Equalized(len(free), len(sets) - len(free), rounds)


def _balance(shared: Shared, current: dict[ir.Node, Linear]) -> float:
    """One step for one set; returns the largest logarithm of a factor."""
    writers = [current[one.node] for one in shared.writers]
    readers = [current[one.node] for one in shared.readers]
    written = np.max([_written(one) for one in writers], axis=0)
    read = np.max([_read(one) for one in readers], axis=0)
    used = (written > 0) & (read > 0)
    factors = np.where(used, np.sqrt(np.where(used, read, 1.0) / np.where(used, written, 1.0)), 1.0)
    for one in writers:
        weight, bias = scaled(one, factors, None)
        current[one.node] = replace(one, weight=weight, bias=bias)
    for one in readers:
        now = current[one.node]
        weight, bias = scaled(now, None, factors)
        current[one.node] = replace(now, weight=weight, bias=bias)
    return float(np.abs(np.log(factors)).max(initial=0.0))


def _written(linear: Linear) -> np.ndarray:
    rows = np.moveaxis(linear.weight, linear.channel_axis, 0).reshape(linear.channels, -1)
    largest: np.ndarray = np.abs(rows).max(axis=1).astype(np.float64)
    return largest


def _read(linear: Linear) -> np.ndarray:
    largest: np.ndarray = np.abs(reads_channel(linear)).max(axis=(1, 3)).reshape(-1).astype(np.float64)
    return largest


def _store(editor: Editor, linear: Linear) -> None:
    node = linear.node
    node.replace_input_with(1, editor.weight(f"{node.outputs[0].name}_w", linear.weight))
    if linear.bias is not None:
        node.replace_input_with(2, editor.weight(f"{node.outputs[0].name}_b", linear.bias))
    for factor in ("alpha", "beta"):
        node.attributes.pop(factor, None)
