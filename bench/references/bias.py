"""Bias correction: shifts of every output channel, against NNCF's fast bias correction, for NNCF's own weights.

NNCF feeds each layer an image of its inputs' means and compares with the mean that the layer wrote: where borders are a
large part of an image, it takes what they do for an error of rounding. A layer whose shift is more than twice one of
its biases it leaves alone. Ours is the paper's sum. What rounding really shifts is measured beside both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir
from onnx import ModelProto, numpy_helper

from bench.references.case import Batches, Real, bytes_of, named, outputs, sqnr_db
from bench.references.place import Place, Reference
from enxuto.graph.edit import Editor
from enxuto.quantization.bias import shift
from enxuto.quantization.calibrate import observe
from enxuto.quantization.linear import Linear

METHOD = "bias correction"
REFERENCE = Reference("openvinotoolkit/nncf", "nncf", ("nncf", "onnx", "onnxruntime"))
_CONV = frozenset({"Conv"})


def suits(model: ir.Model) -> bool:
    return any(node.op_type == "Conv" for node in model.graph)


def compare(real: Real, place: Place) -> Iterator[str]:
    theirs = place.ask(REFERENCE, dict(real.calibration), bytes_of(real.model))
    layers = {name: one for name, one in named(real.model, _CONV).items() if f"{name}|after" in theirs}
    errors = {name: (theirs[f"{name}|weight"] - one.weight).astype(np.float32) for name, one in layers.items()}
    true = _true_shifts(real, errors)
    found = _our_shifts(real, layers, errors)
    biases = {name: (theirs[f"{name}|before"] - moved).astype(np.float32) for name, moved in found.items()}
    others = {name: theirs[f"{name}|before"] - theirs[f"{name}|after"] for name in found}
    moved_by_them = [name for name in found if others[name].any()]
    a, b, c = (np.concatenate([table[name] for name in moved_by_them]) for table in (found, others, true))
    yield (
        f"{len(a):,} shifts of {len(moved_by_them)} convolutions (NNCF leaves {len(found) - len(moved_by_them)} more "
        f"alone): correlation {_correlation(a, b):.4f}, ours {_size(a) / _size(b):.2f} times as large; with what "
        f"rounding really shifts ours has {_correlation(a, c):.4f}, theirs {_correlation(b, c):.4f}; "
        f"{_judged(real, theirs, biases)}"
    )


def _our_shifts(real: Real, layers: Mapping[str, Linear], errors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    inputs = {name: str(one.node.inputs[0].name) for name, one in layers.items() if one.node.inputs[0] is not None}
    context = real.context()
    seen = observe(real.model, dict.fromkeys(inputs.values(), 1), Batches(real.calibration), context, histograms=False)
    found = {}
    for name, one in layers.items():
        channels = seen.tensors[inputs[name]].channels
        moved = None if channels is None else shift(one.node, errors[name], one.channel_axis, channels.mean)
        if moved is not None:
            found[name] = moved
    return found


def _true_shifts(real: Real, errors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What each error of a weight makes of the layer's real inputs, in the mean over all samples and positions."""
    copy = real.model.clone()
    editor = Editor(copy.graph)
    means = []
    for name, one in named(copy, _CONV).items():
        if name in errors:
            inputs = [one.node.inputs[0], editor.weight(f"{name}_error", errors[name])]
            alone = ir.node("Conv", inputs, attributes=dict(one.node.attributes), name=f"{name}_moved")
            mean = ir.node("GlobalAveragePool", alone.outputs, name=f"{name}_mean")
            mean.outputs[0].name = f"{name}_mean"
            mean.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
            copy.graph.insert_after(one.node, [alone, mean])
            means.append(mean.outputs[0])
    copy.graph.outputs[:] = means
    arrays = outputs(copy, real.calibration)
    return {name: array.mean(axis=(0, 2, 3)) for name, array in zip(errors, arrays, strict=True)}


def _judged(real: Real, theirs: Mapping[str, np.ndarray], biases: Mapping[str, np.ndarray]) -> str:
    expected = outputs(real.model, real.evaluation)
    plain = ModelProto.FromString(theirs["model_before"].tobytes())
    before, mine, own = (
        sqnr_db(outputs(model, real.evaluation), expected)
        for model in (plain.SerializeToString(), _with_biases(plain, biases), theirs["model"].tobytes())
    )
    return f"NNCF's INT8 model {before:.2f} dB, with our biases {mine:.2f}, with its own {own:.2f}"


def _correlation(some: np.ndarray, others: np.ndarray) -> float:
    return float(np.corrcoef(some, others)[0, 1])


def _size(some: np.ndarray) -> float:
    return float(np.linalg.norm(some))


def _with_biases(model: ModelProto, biases: Mapping[str, np.ndarray]) -> bytes:
    copy = ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.output[0] in biases and len(node.input) > 2:
            name = f"{node.output[0]}_ours"
            node.input[2] = name
            copy.graph.initializer.append(numpy_helper.from_array(biases[node.output[0]], name))
    found: bytes = copy.SerializeToString()
    return found
