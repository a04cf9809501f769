from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

from enxuto.errors import NotApplicable
from enxuto.graph.apply import apply_technique
from enxuto.techniques import Work
from enxuto.techniques.dynamic_int8 import DynamicInt8
from tests.support import tiny_models
from tests.support.batches import context, drift, outputs_of, samples_for
from tests.support.fused import kernels


def quantized(proto: ModelProto, folder: Path, **given: object) -> ModelProto:
    done = apply_technique(DynamicInt8.model_validate(given), Work(ir.from_proto(proto)), context(folder))
    return ir.to_proto(done.model)


def operators(proto: ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in proto.graph.node)


def test_a_bias_by_row_is_not_taken_for_one_by_column(tmp_path: Path) -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        square (float[batch, 16] v, float[8, 16] x) => (float[8, 8] y, float[batch, 32] z) {
            y = Gemm(x, w, by_row)
            z = MatMul(v, w2)
        }""")
    random = np.random.default_rng(0)
    for name, shape in {"w": (16, 8), "by_row": (8, 1), "w2": (16, 32)}.items():
        proto.graph.initializer.append(numpy_helper.from_array(random.standard_normal(shape, dtype=np.float32), name))
    given = samples_for(proto)
    assert drift(outputs_of(proto, given), outputs_of(quantized(proto, tmp_path), given)) < 0.05


def three_readers() -> ModelProto:
    """Query, key and value: three products of one tensor."""
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        readers (float[batch, sequence, 32] x) => (float[batch, sequence, 32] q, float[batch, sequence, 32] k) {
            a = MatMul(x, wq)
            q = Add(a, bq)
            k = MatMul(x, wk)
        }""")
    random = np.random.default_rng(0)
    for name, shape in {"wq": (32, 32), "bq": (32,), "wk": (32, 32)}.items():
        array = random.standard_normal(shape).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    return proto


def test_a_tensor_is_quantized_once_for_all_its_readers(tmp_path: Path) -> None:
    found = quantized(three_readers(), tmp_path)
    assert operators(found)["DynamicQuantizeLinear"] == 1
    fused = kernels(found, tmp_path)
    assert fused["MatMulIntegerToFloat"] == 2
    assert not {"MatMulInteger", "Cast"} & set(fused)


def test_a_product_becomes_one_kernel(tmp_path: Path) -> None:
    assert kernels(quantized(tiny_models.mlp(), tmp_path), tmp_path)["DynamicQuantizeMatMul"] == 2


def test_a_scale_for_each_column_loses_less(tmp_path: Path) -> None:
    proto = three_readers()
    wide = numpy_helper.to_array(proto.graph.initializer[0]) * np.geomspace(0.01, 1, 32).astype(np.float32)
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(wide, "wq"))
    samples = samples_for(proto)
    (expected, _) = outputs_of(proto, samples)
    small = expected[..., :8]
    each = outputs_of(quantized(proto, tmp_path), samples)[0][..., :8]
    one = outputs_of(quantized(proto, tmp_path, per_channel=False), samples)[0][..., :8]
    assert drift([small], [each]) < drift([small], [one]) / 3


@pytest.mark.parametrize("attributes", ["", "<transB = 1>", "<alpha = 0.5, beta = 2.0, transB = 1>"])
def test_gemm_keeps_its_meaning(attributes: str, tmp_path: Path) -> None:
    proto = parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[batch, 16] x) => (float[batch, 16] y) {{ y = Gemm{attributes}(x, w, b) }}""")
    random = np.random.default_rng(0)
    for name, shape in {"w": (16, 16), "b": (16,)}.items():
        array = random.standard_normal(shape).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    samples = samples_for(proto)
    assert drift(outputs_of(proto, samples), outputs_of(quantized(proto, tmp_path), samples)) < 0.03


def test_embeddings_are_stored_in_bytes_on_request(tmp_path: Path) -> None:
    proto = tiny_models.tokens(vocabulary=200, width=16)
    stored = {tensor.name: tensor.data_type for tensor in quantized(proto, tmp_path).graph.initializer}
    kept = {tensor.name for tensor in quantized(proto, tmp_path, embeddings=False).graph.initializer}
    assert stored["embedding_int8"] == onnx.TensorProto.INT8
    assert "embedding" not in stored
    assert "embedding" in kept


def test_convolutions_and_control_flow_are_left_alone(tmp_path: Path) -> None:
    assert operators(quantized(tiny_models.convnet(channels=16), tmp_path))["Conv"] == 2


def test_a_model_of_convolutions_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="nothing would be gained") as refusal:
        quantized(tiny_models.convnet(channels=64, classes=4), tmp_path)
    assert refusal.value.code == "too_little_to_quantize"
    assert "static_int8" in refusal.value.hint


def test_what_is_excluded_stays_in_floating_point(tmp_path: Path) -> None:
    proto = three_readers()
    all_products = operators(quantized(proto, tmp_path))["MatMulInteger"]
    name = next(node.name or node.output[0] for node in proto.graph.node if node.op_type == "MatMul")
    named = ir.from_proto(proto)
    first = next(node for node in named.graph if node.op_type == "MatMul")
    first.name = name
    one_less = quantized(ir.to_proto(named), tmp_path, exclude=[name])
    assert operators(one_less)["MatMulInteger"] == all_products - 1
    assert operators(one_less)["MatMul"] == operators(quantized(proto, tmp_path))["MatMul"] + 1
    with pytest.raises(NotApplicable, match="No matrix product or LSTM layer is left"):
        quantized(proto, tmp_path, exclude=["MatMul"])


def test_weights_take_seven_bits_where_pairs_of_products_would_saturate(tmp_path: Path) -> None:
    largest = {
        processor: max(
            int(np.abs(numpy_helper.to_array(each).astype(np.int32)).max())
            for each in quantized(three_readers(), tmp_path, processor=processor).graph.initializer
            if each.data_type == onnx.TensorProto.INT8
        )
        for processor in ("x86_vnni", "x86_avx2")
    }
    assert largest == {"x86_vnni": 127, "x86_avx2": 63}
