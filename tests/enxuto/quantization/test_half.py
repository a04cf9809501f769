from __future__ import annotations

from pathlib import Path
from typing import Literal

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

from enxuto.errors import NotApplicable
from enxuto.graph.apply import apply_technique
from enxuto.techniques import Work
from enxuto.techniques.half_weights import HalfWeights
from tests.support import tiny_models
from tests.support.batches import context, outputs_of, samples_for
from tests.support.fused import kernels

Half = Literal["float16", "bfloat16"]


def halved(proto: ModelProto, folder: Path, dtype: Half = "float16") -> tuple[ModelProto, tuple[str, ...]]:
    done = apply_technique(HalfWeights(dtype=dtype), Work(ir.from_proto(proto)), context(folder))
    return ir.to_proto(done.model), done.notes


@pytest.mark.parametrize(("dtype", "kind"), [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)])
def test_outputs_are_those_of_weights_rounded_to_16_bits(dtype: Half, kind: type, tmp_path: Path) -> None:
    proto = tiny_models.mlp()
    found, _ = halved(proto, tmp_path, dtype)
    rounded = onnx.ModelProto()
    rounded.CopyFrom(proto)
    for tensor in rounded.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.size >= 128:
            tensor.CopyFrom(numpy_helper.from_array(array.astype(kind).astype(np.float32), tensor.name))
    samples = samples_for(proto)
    np.testing.assert_array_equal(outputs_of(rounded, samples)[0], outputs_of(found, samples)[0])


def test_the_casts_are_gone_once_the_model_is_loaded(tmp_path: Path) -> None:
    proto = tiny_models.convnet(channels=16)
    found, _ = halved(proto, tmp_path)
    assert kernels(found, tmp_path) == kernels(proto, tmp_path)


def test_a_weight_beyond_the_format_stays_in_float32(tmp_path: Path) -> None:
    proto = tiny_models.mlp()
    large = numpy_helper.to_array(proto.graph.initializer[0]).copy()
    large[0, 0] = 1e5
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(large, "weight1"))
    found, notes = halved(proto, tmp_path)
    kinds = {tensor.name: tensor.data_type for tensor in found.graph.initializer}
    assert kinds["weight1"] == onnx.TensorProto.FLOAT
    assert kinds["weight2_float16"] == onnx.TensorProto.FLOAT16
    assert "weight1" in notes[-1]
    everything, _ = halved(proto, tmp_path, "bfloat16")
    assert "weight1" not in {tensor.name for tensor in everything.graph.initializer}


def test_a_weight_with_several_readers_is_stored_once(tmp_path: Path) -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        tied (float[batch, 16] x) => (float[batch, 16] y) { a = MatMul(x, w) y = MatMul(a, w) }""")
    weight = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    found, _ = halved(proto, tmp_path)
    assert [tensor.name for tensor in found.graph.initializer] == ["w_float16"]
    assert [node.op_type for node in found.graph.node] == ["Cast", "MatMul", "MatMul"]


def test_bfloat16_needs_an_opset_that_can_cast_from_it(tmp_path: Path) -> None:
    proto = tiny_models.mlp()
    proto.opset_import[0].version = 12
    with pytest.raises(NotApplicable, match="opset is 12") as refusal:
        halved(proto, tmp_path, "bfloat16")
    assert refusal.value.code == "opset_too_old"
