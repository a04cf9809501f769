"""Which channels a changed graph scales, told by its weights: equalization leaves tensors their names, not their sizes.

A scaled tensor is no error, but compared as it stands it would look like one. Its factors stand in the weights of what
writes it, over those of the graph before; rounding averages out over the weights of a channel.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from enxuto.graph.weights import array_of, computed_array, input_of, is_constant
from enxuto.quantization.affine import spread
from enxuto.quantization.channels import groups_of, reads_channel, shared_channels
from enxuto.quantization.linear import Linear, linears

_LINEAR = frozenset({"Conv", "Gemm"})
_NORMS = frozenset({"LayerNormalization", "SkipLayerNormalization", "SimplifiedLayerNormalization"})
_LEAST = 0.02
"""Off one: what rounding does to a channel's size stays below that."""


def channel_factors(before: ir.Graph, after: ir.Graph) -> dict[str, np.ndarray]:
    """By name of each tensor that is scaled: what it is multiplied by, in a shape that broadcasts against it."""
    twins = {str(node.name): node for node in after}
    return {**_behind_linears(before, twins), **dict(_behind_norms(before, twins))}


def _behind_linears(before: ir.Graph, twins: dict[str, ir.Node]) -> dict[str, np.ndarray]:
    position = {node: at for at, node in enumerate(before)}
    sets = [
        (min(shared.writers, key=lambda one: position[one.node]), shared)
        for shared in shared_channels(before, list(linears(before, _LINEAR)))
    ]
    factors: dict[str, np.ndarray] = {}
    for first, shared in sorted(sets, key=lambda pair: position[pair[0].node]):  # what it reads is known by then
        gains = _gains(first, twins, factors)
        if gains is not None and _is_scaled(gains):
            shaped = gains.reshape(-1, *[1] * (first.weight.ndim - 2))
            factors.update({str(value.name): shaped for value in shared.tensors})
    return factors


def _gains(linear: Linear, twins: dict[str, ir.Node], factors: dict[str, np.ndarray]) -> np.ndarray | None:
    """Least squares over the weights of each output channel, inputs as the graph after scales them."""
    twin = twins.get(str(linear.node.name))
    stored = restored_weight(twin) if twin is not None and twin.op_type == linear.node.op_type else None
    if stored is None or stored.shape != linear.weight.shape:
        return None
    old, new = reads_channel(linear).astype(np.float64), reads_channel(_with(linear, stored)).astype(np.float64)
    read = input_of(linear.node, 0)
    scaled = factors.get(str(read.name)) if read is not None else None
    if scaled is not None:
        old = old / scaled.reshape(groups_of(linear), 1, old.shape[2], 1)
    power = np.square(old).sum(axis=(2, 3)).ravel()
    return np.where(power > 0, (old * new).sum(axis=(2, 3)).ravel() / np.where(power > 0, power, 1), 1.0)


def _behind_norms(before: ir.Graph, twins: dict[str, ir.Node]) -> Iterator[tuple[str, np.ndarray]]:
    """Where a norm's own scale was changed, nothing is rounded."""
    for node in before:
        twin = twins.get(str(node.name))
        if node.op_type not in _NORMS or twin is None or twin.op_type != node.op_type:
            continue
        position = 2 if node.op_type == "SkipLayerNormalization" else 1
        old, new = (computed_array(input_of(each, position)) for each in (node, twin))
        if old is not None and new is not None and old.shape == new.shape and np.all(old) and _is_scaled(new / old):
            yield str(node.outputs[0].name), new / old


def _is_scaled(gains: np.ndarray) -> bool:
    return bool((gains > 0).all() and np.abs(gains - 1).max() > _LEAST)


def _with(linear: Linear, weight: np.ndarray) -> Linear:
    return Linear(linear.node, weight, linear.bias, linear.channel_axis)


def restored_weight(node: ir.Node) -> np.ndarray | None:
    """The second input in float32, stored as integers or not; None where it is no constant."""
    value = input_of(node, 1)
    producer = value.producer() if value is not None else None
    if producer is None or producer.op_type != "DequantizeLinear":
        return computed_array(value)
    stored, scale = producer.inputs[0], producer.inputs[1]
    if stored is None or scale is None or not is_constant(stored) or not is_constant(scale):
        return None
    scales, integers = array_of(scale), array_of(stored).astype(np.float32)
    zero = input_of(producer, 2)
    axis = producer.attributes.get("axis")
    along = None if scales.ndim == 0 or scales.size == 1 else (axis.as_int() if axis else 1)
    if zero is not None and is_constant(zero):
        integers = integers - spread(array_of(zero).astype(np.float32), integers.ndim, along)
    restored: np.ndarray = integers * spread(scales, integers.ndim, along)
    return restored
