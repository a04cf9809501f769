"""Where a model's weights are, and which nodes compute with them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import onnx_ir as ir

_WEIGHT_INPUTS = {
    "Conv": (1,),
    "ConvTranspose": (1,),
    "Gemm": (0, 1),
    "MatMul": (0, 1),
    "LSTM": (1, 2),
    "GRU": (1, 2),
    "RNN": (1, 2),
}
REARRANGEMENTS = frozenset({"Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast"})
"""What may stand between a weight and the node that computes with it."""
_CUTS = frozenset({"Slice", "Split", "Concat"})
"""How exporters bring the gates of recurrent layers into ONNX's order."""


@dataclass(frozen=True)
class WeightUse:
    """A node that computes with a weight."""

    node: ir.Node
    weight: ir.Value
    """The initializer itself, whatever stands between it and the node."""


def weight_uses(graph: ir.Graph, *, embeddings: bool = False) -> Iterator[WeightUse]:
    """Weights of convolutions, matrix products and recurrent layers, float32 or half; subgraphs are left alone."""
    for node in graph:
        positions = (0,) if embeddings and node.op_type == "Gather" else _WEIGHT_INPUTS.get(node.op_type, ())
        if not in_default_domain(node):
            continue
        for position in positions:
            for weight in initializers_behind(input_of(node, position)):
                if is_float(weight) and array_of(weight).ndim >= 2:
                    yield WeightUse(node, weight)


def in_default_domain(node: ir.Node) -> bool:
    return node.domain in ("", "ai.onnx")


def input_of(node: ir.Node, position: int) -> ir.Value | None:
    return node.inputs[position] if position < len(node.inputs) else None


def initializers_behind(value: ir.Value | None) -> list[ir.Value]:
    """The initializers that this value is made of by rearranging, cutting and joining, each once; none where anything
    else is."""
    return [] if value is None else _behind(value, {})


def _behind(value: ir.Value, known: dict[ir.Value, list[ir.Value]]) -> list[ir.Value]:
    """Each value on the way is looked at once, however often it is joined with itself."""
    if value not in known:
        known[value] = _sources(value, known)
    return known[value]


def _sources(value: ir.Value, known: dict[ir.Value, list[ir.Value]]) -> list[ir.Value]:
    if is_constant(value):
        return [value]
    producer = value.producer()
    if producer is None or not in_default_domain(producer) or producer.op_type not in REARRANGEMENTS | _CUTS:
        return []
    sources = producer.inputs if producer.op_type == "Concat" else producer.inputs[:1]
    found = [_behind(source, known) if source is not None else [] for source in sources]
    return list(dict.fromkeys(weight for part in found for weight in part)) if all(found) else []


def computed_array(value: ir.Value | None) -> np.ndarray | None:
    """The numbers of an initializer as they arrive here, rearranged on the way or not; None for anything else."""
    if value is None:
        return None
    if is_constant(value):
        return array_of(value)
    producer = value.producer()
    if producer is None or not in_default_domain(producer) or producer.op_type not in REARRANGEMENTS:
        return None
    data = computed_array(producer.inputs[0])
    return None if data is None else rearranged(producer, data)


def rearranged(node: ir.Node, data: np.ndarray) -> np.ndarray | None:
    """What a node makes of these numbers; None where that cannot be told."""
    match node.op_type:
        case "Identity":
            return data
        case "Transpose":
            order = node.attributes.get("perm")
            return np.transpose(data, order.as_ints() if order else None)
        case "Reshape":
            return _reshaped(node, data)
        case "Cast":
            target = ir.DataType(node.attributes["to"].as_int())
            return data.astype(target.numpy()) if target.is_floating_point() else None
    return None


def _reshaped(node: ir.Node, data: np.ndarray) -> np.ndarray | None:
    given, allow_zero = input_of(node, 1), node.attributes.get("allowzero")
    if given is None or not is_constant(given):
        return None
    shape = [int(size) for size in array_of(given).ravel()]
    if allow_zero is None or not allow_zero.as_int():  # a size of 0 is that of the data's own axis
        shape = [size or own for size, own in zip_longest(shape, data.shape[: len(shape)], fillvalue=0)]
    known = math.prod(size for size in shape if size != -1)
    fits = data.size % known == 0 if -1 in shape and known > 0 else data.size == known
    return data.reshape(shape) if fits and min(shape, default=1) >= -1 and shape.count(-1) <= 1 else None


def is_constant(value: ir.Value | None) -> bool:
    """Whether the value is an initializer that nobody can feed."""
    return (
        value is not None
        and value.is_initializer()
        and value.const_value is not None
        and not value.is_graph_input()
        and value.dtype != ir.DataType.STRING
    )


def is_float(value: ir.Value) -> bool:
    return value.dtype in (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)


def array_of(value: ir.Value) -> np.ndarray:
    """Of an initializer; to be read, never written."""
    if value.const_value is None:
        raise ValueError(f"'{value.name}' is no constant")
    return value.const_value.numpy()


def replace_array(value: ir.Value, array: np.ndarray) -> None:
    """Give an initializer of the same type and shape other numbers."""
    value.const_value = ir.tensor(np.asarray(array, order="C"), dtype=value.dtype, name=value.name)
