"""Cross-layer equalization: weights and biases of a real network afterwards, against AIMET's.

AIMET scales two layers, or three with a depthwise one in the middle, at a stroke, set after set, and once; neighbouring
sets that share a layer are then no longer equal. Ours goes on until nothing moves, as the paper has it, and takes in
residual streams. So what can be held to be the same is each chain of layers by itself, and those layers of the network
that stand alone in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir
from onnx import ModelProto, TensorProto, helper, numpy_helper

from bench.references.case import Real, bytes_of, named, outputs, sqnr_db, with_weights
from bench.references.place import Place, Reference
from enxuto.quantization.affine import WEIGHT_LIMIT, quantize_weight, weight_scales
from enxuto.quantization.channels import groups_of
from enxuto.quantization.cross_layer import equalize_weights
from enxuto.quantization.linear import Linear

METHOD = "cross-layer equalization"
REFERENCE = Reference("quic/aimet", "aimet", ("aimet-onnx",))
_CONV = frozenset({"Conv"})
_SIDE = 8
"""Of the images that chains of their own are declared to read; nothing is run on them."""

Parameters = Mapping[str, np.ndarray]
"""By the name of what a convolution writes, a bar, and the position of the input."""


def suits(model: ir.Model) -> bool:
    return bool(_chains(model))


def compare(real: Real, place: Place) -> Iterator[str]:
    chains = _chains(real.model)
    alone = ir.from_proto(_alone(chains))
    mine, theirs, _ = _both(alone, place)
    yield (
        f"{len(chains)} chains around a depthwise convolution, each alone with ReLUs: {_size(mine):,} numbers, scaled "
        f"by up to {_scaled(alone, theirs):.3g}, at most {_apart(mine, theirs):.1g} of a tensor's largest apart"
    )
    mine, theirs, layers = _both(real.model, place)
    own = {name: array for name, array in theirs.items() if name.partition("|")[0] in layers}
    yield (
        f"the network, whose bounds let no factor pass: {len(layers)} layers scaled by AIMET, {_size(own):,} numbers, "
        f"{_apart(own, mine):.1g} apart; weights alone rounded, one scale each: {_judged(real, None):.2f} dB, "
        f"{_judged(real, theirs):.2f} with theirs, {_judged(real, mine):.2f} with ours, which has residual streams too"
    )


def _both(model: ir.Model, place: Place) -> tuple[Parameters, Parameters, set[str]]:
    """Ours, theirs, and the layers that are scaled by them."""
    theirs = place.ask(REFERENCE, {}, bytes_of(model))
    layers = {str(name) for name in theirs.pop("layers")}
    mine = model.clone()
    equalize_weights(mine)
    return _parameters(mine), theirs, layers


def _parameters(model: ir.Model) -> Parameters:
    found = {}
    for name, one in named(model, _CONV).items():
        found[f"{name}|1"] = one.weight
        if one.bias is not None:
            found[f"{name}|2"] = one.bias
    return found


def _apart(some: Parameters, others: Parameters) -> float:
    return max(float(np.abs(some[name] - others[name]).max() / np.abs(some[name]).max()) for name in some)


def _scaled(before: ir.Model, after: Parameters) -> float:
    """The largest change of a weight."""
    old = _parameters(before)
    ratios = [np.abs(after[name]) / np.where(old[name] == 0, np.inf, np.abs(old[name])) for name in after]
    return max(float(each.max()) for each in ratios)


def _size(some: Parameters) -> int:
    return sum(array.size for array in some.values())


def _judged(real: Real, found: Parameters | None) -> float:
    taken = found or _parameters(real.model)
    weights, biases = ({name[:-2]: taken[name] for name in taken if name.endswith(f"|{i}")} for i in (1, 2))
    for name, weight in weights.items():
        scale = weight_scales(weight, None, WEIGHT_LIMIT)
        weights[name] = quantize_weight(weight, scale, None, WEIGHT_LIMIT) * scale
    expected = outputs(real.model, real.evaluation)
    return sqnr_db(outputs(with_weights(real.model, weights, biases), real.evaluation), expected)


def _chains(model: ir.Model) -> list[tuple[Linear, Linear, Linear]]:
    """A convolution, the depthwise one that reads it, and the one that reads that, whatever activation is between."""
    by_node = {one.node: one for one in named(model, _CONV).values()}
    found = []
    for middle in by_node.values():
        if groups_of(middle) == middle.channels > 1:
            before, after = _behind(middle.node.inputs[0]), _in_front(middle.node.outputs[0])
            if before in by_node and after in by_node and groups_of(by_node[before]) == groups_of(by_node[after]) == 1:
                found.append((by_node[before], middle, by_node[after]))
    return found


def _behind(value: ir.Value | None) -> ir.Node | None:
    producer = value.producer() if value is not None else None
    return _behind(producer.inputs[0]) if producer is not None and producer.op_type in ("Relu", "Clip") else producer


def _in_front(value: ir.Value) -> ir.Node | None:
    readers = value.consumers()
    if len(readers) != 1:
        return None
    (reader,) = readers
    return _in_front(reader.outputs[0]) if reader.op_type in ("Relu", "Clip") else reader


def _alone(chains: list[tuple[Linear, Linear, Linear]]) -> ModelProto:
    """Each chain side by side with the others, with ReLUs between its layers."""
    nodes, weights, inputs, results = [], [], [], []
    for i, chain in enumerate(chains):
        name = f"x{i}"
        size = ["n", chain[0].weight.shape[1], _SIDE, _SIDE]
        inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, size))
        for j, one in enumerate(chain):
            if j:
                nodes.append(helper.make_node("Relu", [name], [f"{name}_relu"], name=f"{name}_relu"))
                name = f"{name}_relu"
            bias = np.zeros(one.channels, np.float32) if one.bias is None else one.bias
            given = {f"w{i}_{j}": one.weight, f"b{i}_{j}": bias.astype(np.float32)}
            weights += [numpy_helper.from_array(np.ascontiguousarray(array), key) for key, array in given.items()]
            taps = one.weight.shape[2]
            form = {"kernel_shape": [taps, taps], "pads": [taps // 2] * 4, "group": groups_of(one)}
            nodes.append(helper.make_node("Conv", [name, *given], [f"y{i}_{j}"], name=f"conv{i}_{j}", **form))
            name = f"y{i}_{j}"
        results.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", chain[2].channels, None, None]))
    graph = helper.make_graph(nodes, "chains", inputs, results, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
