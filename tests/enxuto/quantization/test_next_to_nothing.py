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


def _error(before: np.ndarray, after: np.ndarray) -> float:
    return float(np.linalg.norm(before - after) / np.linalg.norm(before))
