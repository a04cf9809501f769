"""Weights so small that no scale of float32 tells them apart stay in floating point, whatever the technique."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper
from onnx.parser import parse_model

from enxuto.graph.apply import apply_technique
from enxuto.techniques import AnyTechnique, DynamicInt8, StaticInt8, WeightOnly, Work
from tests.support.batches import context, outputs_of, samples_for

_WIDTH = 32


def shrunk() -> onnx.ModelProto:
    """A product with weights of about 1, and one with weights near 1e-36 whose outputs are brought back to size."""
    random = np.random.default_rng(0)
    proto = parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        shrunk (float[batch, {_WIDTH}] x) => (float[batch, {_WIDTH}] plain, float[batch, {_WIDTH}] tiny)
        <float back = {{1e36}}> {{
            plain = MatMul(x, w1)
            small = MatMul(x, w2)
            tiny = Mul(small, back)
        }}""")
    for name, size in (("w1", 1.0), ("w2", 1e-36)):
        array = (random.standard_normal((_WIDTH, _WIDTH)) * size).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    return proto


@pytest.mark.parametrize(
    "technique",
    [StaticInt8(), StaticInt8(per_channel=False), DynamicInt8(), WeightOnly(bits=8), WeightOnly(bits=4)],
    ids=lambda one: f"{one.kind}-{getattr(one, 'bits', '')}{getattr(one, 'per_channel', '')}",
)
def test_what_is_computed_from_them_stays_what_it_was(technique: AnyTechnique, tmp_path: Path) -> None:
    proto = shrunk()
    samples = samples_for(proto, 32)
    done = apply_technique(technique, Work(ir.from_proto(proto)), context(tmp_path, samples)).model
    plain, tiny = zip(outputs_of(proto, samples), outputs_of(done, samples), strict=True)
    assert _error(*plain) > 1e-4, "nothing was quantized at all"
    assert _error(*tiny) < 1e-4


def test_transposed_convolutions_with_such_weights_stay_as_well(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        shrunk (float[batch, 3, 6, 6] x) => (float[batch, 4, 12, 12] tiny) <float back = {1e36}> {
            c = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, w1)
            small = ConvTranspose<kernel_shape = [6, 6], strides = [2, 2], pads = [2, 2, 2, 2]>(c, w2)
            tiny = Mul(small, back)
        }""")
    for name, shape, size in (("w1", (8, 3, 3, 3), 1.0), ("w2", (8, 4, 6, 6), 1e-36)):
        array = (random.standard_normal(shape) * size).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    samples = samples_for(proto, 32)
    done = apply_technique(StaticInt8(), Work(ir.from_proto(proto)), context(tmp_path, samples)).model
    (before,), (after,) = outputs_of(proto, samples), outputs_of(done, samples)
    assert 1e-4 < _error(before, after) < 0.05


def _error(before: np.ndarray, after: np.ndarray) -> float:
    return float(np.linalg.norm(before - after) / np.linalg.norm(before))
