"""Static INT8 on real onnxruntime: which kernels run, how close the outputs stay, and how little memory it takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from enxuto.errors import NotApplicable
from enxuto.graph.apply import apply_technique
from enxuto.processor import processor_of
from enxuto.quantization.static import scheme_for
from enxuto.techniques import Work
from enxuto.techniques.static_int8 import StaticInt8
from enxuto.workload import Workload
from tests.support import tiny_models
from tests.support.batches import context, drift, outputs_of, samples_for
from tests.support.fused import kernels


def quantized(proto: ModelProto, folder: Path, **given: object) -> ModelProto:
    technique = StaticInt8.model_validate({"kind": "static_int8", **given})
    work = Work(ir.from_proto(proto))
    return ir.to_proto(apply_technique(technique, work, context(folder, samples_for(proto, 32))).model)


def residual() -> ModelProto:
    """Two branches that join, as in a residual network, with a depthwise convolution in one of them."""
    random = np.random.default_rng(0)
    model = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        residual (float[batch, 8, 8, 8] x) => (float[batch, 8, 4, 4] y) {
            a = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, w1, b1)
            ra = Relu(a)
            d = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 8>(ra, w2, b2)
            sum = Add(d, ra)
            rs = Relu(sum)
            pooled = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(rs)
            y = Conv<kernel_shape = [1, 1]>(pooled, w3)
        }""")
    shapes = {"w1": (8, 8, 3, 3), "b1": (8,), "w2": (8, 1, 3, 3), "b2": (8,), "w3": (8, 8, 1, 1)}
    for name, shape in shapes.items():
        array = (random.standard_normal(shape) / 3).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


def test_between_convolutions_everything_runs_in_integers(tmp_path: Path) -> None:
    found = kernels(quantized(residual(), tmp_path), tmp_path)
    assert found["QLinearConv"] == 3
    assert found["QLinearAdd"] == 1
    assert not {"Conv", "Add", "Relu"} & set(found)
    assert found["QuantizeLinear"] == found["DequantizeLinear"] == 1, "only at the ends"


def test_a_matrix_product_reads_integers_and_writes_floats(tmp_path: Path) -> None:
    found = kernels(quantized(tiny_models.mlp(), tmp_path), tmp_path)
    assert found["QGemm"] == 2
    assert not {"MatMul", "Gemm"} & set(found)


def test_a_product_without_bias_does_so_too(tmp_path: Path) -> None:
    found = kernels(quantized(tiny_models.tokens(), tmp_path), tmp_path)
    assert found["MatMulIntegerToFloat"] == 2
    assert not found["MatMul"]


def test_outputs_stay_as_close_as_with_onnxruntimes_own_quantizer(tmp_path: Path) -> None:
    proto = tiny_models.convnet(channels=16)
    samples = samples_for(proto, 32)

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter([samples])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.batches, None)

    tiny_models.save(proto, tmp_path / "in.onnx")
    quantize_static(
        tmp_path / "in.onnx", tmp_path / "theirs.onnx", Reader(), per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    expected = outputs_of(proto, samples)
    theirs = drift(expected, outputs_of(onnx.load(tmp_path / "theirs.onnx"), samples))
    ours = drift(expected, outputs_of(quantized(proto, tmp_path), samples))
    assert ours < 1.1 * theirs


def test_a_depthwise_network_keeps_its_outputs_only_with_a_scale_for_each_channel(tmp_path: Path) -> None:
    proto = residual()
    wide = numpy_helper.to_array(proto.graph.initializer[2]) * np.geomspace(0.01, 10, 8).reshape(-1, 1, 1, 1)
    proto.graph.initializer[2].CopyFrom(numpy_helper.from_array(wide.astype(np.float32), "w2"))
    samples = samples_for(proto, 32)
    plain = {"rounding": "nearest", "bias_correction": False, "equalization": False}  # each of which mends some of it
    expected = outputs_of(proto, samples)
    each = drift(expected, outputs_of(quantized(proto, tmp_path, **plain), samples))
    one = drift(expected, outputs_of(quantized(proto, tmp_path, per_channel=False, **plain), samples))
    assert each < 0.06
    assert each < 0.9 * one


def test_batch_norms_are_merged_first(tmp_path: Path) -> None:
    found = quantized(tiny_models.convnet(channels=16), tmp_path)
    assert "BatchNormalization" not in {node.op_type for node in found.graph.node}


@pytest.mark.parametrize("excluded", ["Gemm", "by name"])
def test_what_is_excluded_stays_in_floating_point(excluded: str, tmp_path: Path) -> None:
    proto = tiny_models.convnet(channels=16)
    proto.graph.node[-1].name = "by name"
    found = quantized(proto, tmp_path, exclude=[excluded])
    (gemm,) = [node for node in found.graph.node if node.op_type == "Gemm"]
    assert gemm.input[1] == "head_weight"


def test_a_float_stem_leaves_the_first_convolution_alone(tmp_path: Path) -> None:
    found = quantized(tiny_models.convnet(channels=16), tmp_path, float_stem=True)
    first, second = [node for node in found.graph.node if node.op_type == "Conv"]
    stored = {tensor.name for tensor in found.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    assert first.input[1] in stored
    assert second.input[1] not in stored


def test_the_quantized_output_keeps_its_name(tmp_path: Path) -> None:
    proto = residual()
    found = quantized(proto, tmp_path)
    assert [output.name for output in found.graph.output] == ["y"]
    assert next(node for node in found.graph.node if "y" in node.output).op_type == "DequantizeLinear"


def test_a_model_of_an_old_opset_is_raised_first(tmp_path: Path) -> None:
    proto = parse_model("""
        <ir_version: 4, opset_import: ["" : 10]>
        old (float[batch, 4, 6, 6] x) => (float[batch, 4] y) {
            c = Conv<kernel_shape = [3, 3]>(x, w)
            r = Relu(c)
            p = GlobalAveragePool(r)
            y = Flatten(p)
        }""")
    weight = np.random.default_rng(0).standard_normal((4, 4, 3, 3)).astype(np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    found = quantized(proto, tmp_path)
    assert found.opset_import[0].version >= 13
    samples = samples_for(proto)
    assert drift(outputs_of(proto, samples), outputs_of(found, samples)) < 0.05


def test_what_adds_an_infinite_constant_stays_in_floating_point(tmp_path: Path) -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        masked (float[batch, 8, 8, 8] x) => (float[batch, 8, 8, 8] y) {
            a = Conv<pads = [1, 1, 1, 1]>(x, w)
            s = Add(a, mask)
            r = Relu(s)
            y = Conv<pads = [1, 1, 1, 1]>(r, w)
        }""")
    weight, mask = np.random.default_rng(0).standard_normal((8, 8, 3, 3)) / 8, np.zeros((1, 8, 1, 1))
    mask[:, 3] = -np.inf
    for name, array in {"w": weight, "mask": mask}.items():
        proto.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    given = samples_for(proto, 32)
    assert drift(outputs_of(proto, given), outputs_of(quantized(proto, tmp_path), given)) < 0.05


def test_quantizing_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="quantized already"):
        quantized(quantized(residual(), tmp_path), tmp_path)


def test_what_touches_a_tensor_that_is_not_finite_stays_in_floating_point(tmp_path: Path) -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        masked (float[batch, 4] x) => (float[batch, 4] y, float[batch, 4] z) {
            zero = Constant<value = float {0.0}>()
            infinite = Div(x, zero)
            y = MatMul(infinite, w)
            z = MatMul(x, v)
        }""")
    for name in "wv":
        weight = np.random.default_rng(ord(name)).standard_normal((4, 4)).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(weight, name))
    found = quantized(proto, tmp_path)
    assert [node.input[1] in "wv" for node in found.graph.node if node.op_type == "MatMul"] == [True, False]


@pytest.mark.parametrize(
    ("sets", "activations", "pairs_saturate"),
    [({"avx2", "avx512_vnni"}, "uint8", False), ({"avx_vnni"}, "uint8", False), ({"avx2"}, "uint8", True),
     ({"asimd", "asimddp"}, "int8", False)],
)  # fmt: skip
def test_the_processor_decides_the_integers(sets: set[str], activations: str, pairs_saturate: bool) -> None:
    scheme = scheme_for(processor_of(sets), per_channel=True)
    assert (scheme.activations, scheme.pairs_saturate) == (activations, pairs_saturate)


def test_a_processor_that_is_asked_for_counts_more_than_this_one(tmp_path: Path) -> None:
    types = {tensor.data_type for tensor in quantized(residual(), tmp_path, processor="arm").graph.initializer}
    assert onnx.TensorProto.UINT8 not in types


@pytest.mark.parametrize("per_channel", [True, False])
def test_no_two_products_saturate_on_avx2(per_channel: bool, tmp_path: Path) -> None:
    found = quantized(residual(), tmp_path, processor="x86_avx2", per_channel=per_channel)
    weights = [
        numpy_helper.to_array(tensor).astype(np.int64) for tensor in found.graph.initializer if len(tensor.dims) == 4
    ]
    assert len(weights) == 3
    largest = 0
    for weight in weights:
        for row in weight.reshape(len(weight), -1):
            for signed in (row, -row):
                largest = max(largest, int(np.sort(np.maximum(signed, 0))[-2:].sum()))
    assert 255 * largest <= 2**15 - 1
    assert largest > 120, "and no bit is given away"


def test_a_model_that_runs_at_one_batch_size_only_is_calibrated_at_it(tmp_path: Path) -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        baked (float[batch, 4] x) => (float[batch, 4] y) {
            shape = Constant<value = int64[2] {2, 4}>()
            same = Reshape(x, shape)
            y = MatMul(same, w)
        }""")
    proto.graph.initializer.append(numpy_helper.from_array(np.eye(4, dtype=np.float32), "w"))
    samples = {"x": np.arange(28, dtype=np.float32).reshape(7, 4)}
    pairs = replace(context(tmp_path, samples), workload=Workload(batch_size=2))
    done = apply_technique(StaticInt8(), Work(ir.from_proto(proto)), pairs)
    feeds = {"x": samples["x"][:2]}
    assert drift(outputs_of(proto, feeds), outputs_of(done.model, feeds)) < 0.05


def test_a_float_stem_in_front_of_a_sum_leaves_integers_in_one_layout(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        stem (float[batch, 3, 8, 8] x) => (float[batch, 8, 8, 8] y) {
            a = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, w0)
            s = Relu(a)
            b = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(s, w1)
            c = Add(b, s)
            d = Relu(c)
            e = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(d, w2)
            f = Add(e, d)
            y = Conv<kernel_shape = [1, 1]>(f, w3)
        }""")
    for name, shape in {"w0": (8, 3, 3, 3), "w1": (8, 8, 3, 3), "w2": (8, 8, 3, 3), "w3": (8, 8, 1, 1)}.items():
        array = (random.standard_normal(shape) / 5).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    found = quantized(proto, tmp_path, float_stem=True)
    assert kernels(found, tmp_path)["Transpose"] <= 2, "in and out"
    samples = samples_for(proto, 32)
    assert drift(outputs_of(proto, samples), outputs_of(found, samples)) < 0.03
