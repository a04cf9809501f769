from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.parser import parse_model
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from pydantic import ValidationError

from enxuto.errors import NotApplicable
from enxuto.graph.apply import apply_technique
from enxuto.quantization.blocks import Bits, block_length, fitting_block, nearest
from enxuto.runtimes.openvino import OpenVinoModel
from enxuto.techniques import Work
from enxuto.techniques.weight_only import WeightOnly
from tests.support import tiny_models
from tests.support.batches import context, drift, outputs_of, samples_for
from tests.support.fused import kernels


def stored(proto: ModelProto, folder: Path, **given: object) -> ModelProto:
    technique = WeightOnly.model_validate({"kind": "weight_only", **given})
    done = apply_technique(technique, Work(ir.from_proto(proto)), context(folder, samples_for(proto, 64)))
    return ir.to_proto(done.model)


def in_openvino(proto: ModelProto, folder: Path, samples: dict[str, np.ndarray]) -> list[np.ndarray]:
    return OpenVinoModel(tiny_models.save(proto, folder / "openvino.onnx"), threads=1).run(samples)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [8, 4])
def test_blocks_lose_at_most_half_a_step(bits: Bits, symmetric: bool) -> None:
    values = np.random.default_rng(0).standard_normal((20, 3, 32)).astype(np.float32)
    blocks = nearest(values, bits, symmetric=symmetric)
    error = np.abs(blocks.real() - values)
    assert blocks.integers.max() < 2**bits
    assert (blocks.zero_points is None) == symmetric
    assert np.all(error.mean(axis=2, keepdims=True) <= np.abs(values).max(axis=2, keepdims=True) / 2**bits)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [8, 4])
def test_zeros_stay_zero(bits: Bits, symmetric: bool) -> None:
    values = np.array([[[0.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]], dtype=np.float32)
    blocks = nearest(values, bits, symmetric=symmetric)
    np.testing.assert_array_equal(blocks.real()[values == 0], 0)


def test_scales_are_stored_in_16_bits_unless_they_do_not_fit() -> None:
    values = np.random.default_rng(0).standard_normal((8, 1, 16)).astype(np.float32)
    for factor, fits in ((1.0, True), (1e-9, False)):
        scales = nearest(values * np.float32(factor), 4, symmetric=True).scales
        assert np.array_equal(scales.astype(np.float16).astype(np.float32), scales) == fits


@pytest.mark.parametrize(("length", "expected"), [(64, 32), (72, 24), (27, 27), (9, 9), (7, 7), (31, 31), (147, 21)])
def test_blocks_divide_what_they_are_cut_from(length: int, expected: int) -> None:
    assert block_length(length, 32) == expected


def test_four_bits_lose_no_more_than_with_onnxruntimes_own_quantizer(tmp_path: Path) -> None:
    proto = tiny_models.mlp(features=128, hidden=128, classes=64)
    samples = samples_for(proto, 64)
    theirs = MatMulNBitsQuantizer(copy.deepcopy(proto), bits=4, block_size=32, is_symmetric=True, accuracy_level=4)
    theirs.process()
    expected = outputs_of(proto, samples)
    ours = drift(expected, outputs_of(stored(proto, tmp_path, bits=4), samples))
    assert ours <= drift(expected, outputs_of(theirs.model.model, samples))


@pytest.mark.parametrize(("length", "expected"), [(256, 128), (384, 128), (784, 64), (100, 16), (33, 16), (20, 16)])
def test_blocks_of_products_hardly_fill_rows_up(length: int, expected: int) -> None:
    assert fitting_block(length, 128) == expected


@pytest.mark.parametrize("bits", [8, 4])
def test_only_standard_operators_are_written_on_request(bits: int, tmp_path: Path) -> None:
    proto = tiny_models.mlp(hidden=256)
    found = stored(proto, tmp_path, bits=bits, kernel="standard")
    assert {opset.domain for opset in found.opset_import} == {""}
    assert kernels(found, tmp_path) == kernels(proto, tmp_path), "restored when it is loaded"
    assert found.ByteSize() < proto.ByteSize() / 2


@pytest.mark.parametrize("bits", [8, 4])
def test_the_file_shrinks_by_about_what_the_bits_say(bits: int, tmp_path: Path) -> None:
    proto = tiny_models.convnet(channels=64)
    found = stored(proto, tmp_path, bits=bits)
    assert found.ByteSize() < proto.ByteSize() * (bits + 2) / 32
    samples = samples_for(proto)
    assert drift(outputs_of(proto, samples), outputs_of(found, samples)) < (0.02 if bits == 8 else 0.3)


EVERY_WAY = [
    {"bits": bits, "method": method, "kernel": kernel} | ({} if method == "hqq" else {"symmetric": symmetric})
    for bits in (8, 4)
    for method in ("rtn", "hqq", "gptq")
    for kernel in ("matmul_nbits", "standard")
    for symmetric in ((False,) if method == "hqq" else (True, False))
]


@pytest.mark.parametrize("way", EVERY_WAY, ids=str)
def test_every_way_runs_in_both_runtimes_and_says_the_same(way: dict[str, object], tmp_path: Path) -> None:
    proto = tiny_models.tokens(vocabulary=40, width=64)
    samples = samples_for(proto)
    expected = outputs_of(proto, samples)
    found = stored(proto, tmp_path, **way)
    bound = 0.02 if way["bits"] == 8 else 0.25
    assert drift(expected, outputs_of(found, samples)) < bound
    assert drift(expected, in_openvino(found, tmp_path, samples)) < bound


@pytest.mark.parametrize("length", [16, 24, 33, 70])
@pytest.mark.parametrize("method", ["rtn", "hqq", "gptq"])
def test_rows_that_blocks_do_not_divide_are_filled_up(length: int, method: str, tmp_path: Path) -> None:
    proto = tiny_models.mlp(features=length, hidden=48)
    samples = samples_for(proto)
    found = stored(proto, tmp_path, bits=4, method=method, symmetric=False)
    assert drift(outputs_of(proto, samples), outputs_of(found, samples)) < 0.25


@pytest.mark.parametrize(
    ("given", "operators"),
    [
        ({"bits": 4}, "GatherBlockQuantized Tanh MatMulNBits Cast"),
        ({"bits": 8}, "Gather Mul Tanh MatMulNBits Cast"),
        ({"bits": 4, "embeddings": "int8"}, "Gather Mul Tanh MatMulNBits Cast"),
        ({"bits": 4, "embeddings": "float32"}, "Gather Tanh MatMulNBits Cast"),
    ],
    ids=str,
)
def test_tables_are_stored_as_asked(given: dict[str, object], operators: str, tmp_path: Path) -> None:
    found = stored(tiny_models.tokens(vocabulary=600, width=64), tmp_path, **given)
    assert {node.op_type for node in found.graph.node} == set(operators.split())
    assert found.opset_import[0].version == 17, "nothing needed a newer one"


def test_a_table_that_is_a_matrix_as_well_is_stored_for_both(tmp_path: Path) -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        tied (int64[batch, sequence] tokens) => (float[batch, sequence, 40] logits) {
            embedded = Gather(table, tokens)
            turned = Transpose<perm = [1, 0]>(table)
            logits = MatMul(embedded, turned)
        }""")
    table = np.random.default_rng(0).standard_normal((40, 64)).astype(np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(table, "table"))
    samples = samples_for(proto)
    found = stored(proto, tmp_path, bits=4)
    assert [node.op_type for node in found.graph.node if node.domain] == ["GatherBlockQuantized", "MatMulNBits"]
    assert drift(outputs_of(proto, samples), outputs_of(found, samples)) < 0.2


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kernel", ["matmul_nbits", "standard"])
def test_what_is_excluded_stays_in_floating_point(bits: int, kernel: str, tmp_path: Path) -> None:
    proto = tiny_models.mlp(hidden=64, classes=8)
    proto.graph.node[3].name = "second"
    found = stored(proto, tmp_path, bits=bits, kernel=kernel, exclude=["second"])
    kept = {tensor.name for tensor in found.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    assert "weight2" in kept
    assert "weight1" not in kept


def test_what_was_left_out_in_4_bits_can_take_8(tmp_path: Path) -> None:
    proto = tiny_models.mlp(features=64, hidden=64, classes=32)
    proto.graph.node[3].name = "second"
    samples = samples_for(proto)
    work, here = Work(ir.from_proto(proto)), context(tmp_path, samples)
    small = apply_technique(WeightOnly(bits=4, exclude=["second"]), work, here)
    mixed = apply_technique(WeightOnly(bits=8), small, here)
    bits = [node.attributes["bits"].as_int() for node in mixed.model.graph if node.op_type == "MatMulNBits"]
    assert bits == [4, 8]
    assert drift(outputs_of(proto, samples), outputs_of(mixed.model, samples)) < 0.2
    with pytest.raises(NotApplicable) as refusal:
        apply_technique(WeightOnly(bits=8), mixed, here)
    assert refusal.value.code == "already_quantized"


def test_nothing_is_left_where_all_operators_are_excluded(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="not left out"):
        stored(tiny_models.mlp(), tmp_path, exclude=["MatMul"])


def test_scales_of_many_blocks_take_16_bits(tmp_path: Path) -> None:
    found = stored(tiny_models.mlp(features=256, hidden=256, classes=256), tmp_path, bits=4, block_size=16)
    weights = 2 * 256 * 256
    assert found.ByteSize() < weights / 2 + weights / 16 * 2 + 6000


def test_hqq_cannot_be_symmetric() -> None:
    with pytest.raises(ValidationError, match="hqq finds zero points"):
        WeightOnly(method="hqq", symmetric=True)


@pytest.mark.parametrize("method", ["rtn", "gptq"])
@pytest.mark.parametrize("kernel", ["matmul_nbits", "standard"])
def test_a_product_that_scales_its_weights_scales_them_once(kernel: str, method: str, tmp_path: Path) -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 21]>
        scaled (float[batch, 32] x) => (float[batch, 32] y) { y = Gemm<alpha = 3.0, transB = 1>(x, w) }""")
    weight = np.random.default_rng(0).standard_normal((32, 32)).astype(np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    samples = samples_for(proto, 64)
    found = stored(proto, tmp_path, bits=4, kernel=kernel, method=method)
    assert drift(outputs_of(proto, samples), outputs_of(found, samples)) < 0.2


def test_a_table_that_is_handed_out_stays_what_it_is(tmp_path: Path) -> None:
    proto = tiny_models.tokens(vocabulary=40, width=64)
    table = onnx.helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [40, 64])
    proto.graph.output.append(table)
    samples = samples_for(proto)
    expected = outputs_of(proto, samples)
    found = outputs_of(stored(proto, tmp_path, bits=4, kernel="standard"), samples)
    np.testing.assert_array_equal(found[1], expected[1])
    assert drift(expected, found) < 0.2


def test_gptq_asks_for_samples(tmp_path: Path) -> None:
    work = Work(ir.from_proto(tiny_models.mlp()))
    with pytest.raises(NotApplicable, match="no samples") as refusal:
        apply_technique(WeightOnly(method="gptq"), work, context(tmp_path))
    assert refusal.value.code == "calibration_data_missing"


def test_gptq_has_nothing_to_do_without_matrix_products(tmp_path: Path) -> None:
    work = Work(ir.from_proto(tiny_models.convnet(classes=2, channels=16)))
    with pytest.raises(NotApplicable, match="No weight of a matrix product") as refusal:
        apply_technique(WeightOnly(method="gptq"), work, context(tmp_path, {"image": np.zeros((1, 3, 8, 8), "f4")}))
    assert refusal.value.code == "nothing_to_quantize"
