from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.parser import parse_model

from enxuto.errors import NotApplicable
from enxuto.graph.apply import apply_technique
from enxuto.graph.float_type import change_float_type
from enxuto.graph.normalize import normalized
from enxuto.techniques import HalfPrecision, SinglePrecision, Work
from tests.support import tiny_models
from tests.support.batches import context, drift, outputs_of, samples_for


def halved(proto: ModelProto, folder: Path) -> ModelProto:
    work = Work(ir.from_proto(proto))
    found = ir.to_proto(apply_technique(HalfPrecision(require_kernels=False), work, context(folder)).model)
    onnx.checker.check_model(found, full_check=True)
    return found


def with_weights(text: str, **weights: np.ndarray) -> ModelProto:
    proto = parse_model(text)
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return proto


@pytest.mark.parametrize(
    "proto", [tiny_models.convnet(channels=16), tiny_models.mlp(), tiny_models.tokens(vocabulary=40, width=16)]
)
def test_inputs_and_outputs_keep_their_types_and_everything_between_is_half(proto: ModelProto, tmp_path: Path) -> None:
    found = halved(proto, tmp_path)
    samples = samples_for(proto)
    types = {tensor.data_type for tensor in found.graph.initializer}
    assert TensorProto.FLOAT not in types
    assert found.ByteSize() < proto.ByteSize() * 0.8
    assert 0 < drift(outputs_of(proto, samples), outputs_of(found, samples)) < 0.005


def test_a_mask_of_minus_infinity_stays_a_mask_and_an_epsilon_stays_above_zero(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    proto = with_weights(
        """
        <ir_version: 8, opset_import: ["" : 17]>
        masked (float[batch, 16] x) => (float[batch, 16] y, float[batch, 16] z) {
            scores = MatMul(x, w)
            hidden = Add(scores, mask)
            y = Softmax(hidden)
            positive = Relu(x)
            safe = Add(positive, epsilon)
            z = Div(positive, safe)
        }""",
        w=random.standard_normal((16, 16)).astype(np.float32),
        mask=np.where(np.arange(16) < 8, 0, -np.inf).astype(np.float32),
        epsilon=np.array(1e-12, dtype=np.float32),
    )
    samples = samples_for(proto)
    expected, found = outputs_of(proto, samples), outputs_of(halved(proto, tmp_path), samples)
    assert np.isfinite(np.concatenate(found)).all()
    assert drift(expected, found) < 0.01
    assert found[0][:, 8:].max() == 0


def test_a_weight_that_is_handed_out_keeps_its_type(tmp_path: Path) -> None:
    proto = tiny_models.tokens(vocabulary=40, width=16)
    proto.graph.output.append(onnx.helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [40, 16]))
    samples = samples_for(proto)
    expected, found = outputs_of(proto, samples), outputs_of(halved(proto, tmp_path), samples)
    np.testing.assert_array_equal(found[1], expected[1])
    assert 0 < drift(expected, found) < 0.005


def test_a_weight_beyond_the_format_keeps_its_node_in_float32(tmp_path: Path) -> None:
    proto = tiny_models.mlp()
    large = numpy_helper.to_array(proto.graph.initializer[0]).copy()
    large[0, 0] = 1e5
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(large, "weight1"))
    work = Work(ir.from_proto(proto))
    done = apply_technique(HalfPrecision(require_kernels=False), work, context(tmp_path))
    kinds = {name: value.dtype for name, value in done.model.graph.initializers.items()}
    assert ir.DataType.FLOAT in kinds.values()
    assert "MatMul" in done.notes[-1]
    samples = {"x": samples_for(proto)["x"] / 100}
    assert drift(outputs_of(proto, samples), outputs_of(done.model, samples)) < 0.005


def test_sums_that_overflow_stay_in_float32_with_casts_around(tmp_path: Path) -> None:
    proto = with_weights(
        """
        <ir_version: 8, opset_import: ["" : 17]>
        norms (float[batch, 16] x) => (float[batch] y) {
            hidden = MatMul(x, w)
            squares = ReduceSumSquare<axes = [1], keepdims = 0>(hidden)
            y = Sqrt(squares)
        }""",
        w=np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32) * 100,
    )
    samples = samples_for(proto)
    assert drift(outputs_of(proto, samples), outputs_of(halved(proto, tmp_path), samples)) < 0.005


def test_scales_of_a_resize_stay_float32_as_the_specification_has_them(tmp_path: Path) -> None:
    proto = with_weights(
        """
        <ir_version: 8, opset_import: ["" : 17]>
        larger (float[batch, 3, 8, 8] x) => (float[batch, 16, 16, 16] y) {
            c = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, w)
            y = Resize<mode = "nearest">(c, , scales)
        }""",
        w=np.random.default_rng(0).standard_normal((16, 3, 3, 3)).astype(np.float32),
        scales=np.array([1, 1, 2, 2], dtype=np.float32),
    )
    found = halved(proto, tmp_path)
    assert {tensor.data_type for tensor in found.graph.initializer} == {TensorProto.FLOAT, TensorProto.FLOAT16}
    samples = samples_for(proto)
    assert drift(outputs_of(proto, samples), outputs_of(found, samples)) < 0.005


def test_both_branches_compute_in_half(tmp_path: Path) -> None:
    proto = tiny_models.branching()
    model = normalized(ir.from_proto(proto))
    change_float_type(model, ir.DataType.FLOAT, ir.DataType.FLOAT16)
    found = ir.to_proto(model)
    onnx.checker.check_model(found, full_check=True)
    samples = samples_for(proto)
    assert drift(outputs_of(proto, samples), outputs_of(found, samples)) < 0.005


def test_a_kept_node_in_a_branch_gets_its_casts_there() -> None:
    proto = tiny_models.branching()
    model = normalized(ir.from_proto(proto))
    changed = change_float_type(
        model, ir.DataType.FLOAT, ir.DataType.FLOAT16, lambda node: node.outputs[0].name == "y_then"
    )
    assert changed.kept == ["MatMul"]
    samples = samples_for(proto)
    assert drift(outputs_of(proto, samples), outputs_of(ir.to_proto(model), samples)) < 0.005


def test_half_there_and_back_is_the_model_with_rounded_weights(tmp_path: Path) -> None:
    proto = tiny_models.convnet(channels=16)
    work = Work(ir.from_proto(halved(proto, tmp_path)))
    lifted = ir.to_proto(apply_technique(SinglePrecision(), work, context(tmp_path)).model)
    assert TensorProto.FLOAT16 not in {tensor.data_type for tensor in lifted.graph.initializer}
    samples = samples_for(proto)
    assert drift(outputs_of(proto, samples), outputs_of(lifted, samples)) < 0.005


def test_a_half_model_is_recognised_and_can_be_quantized_once_lifted(tmp_path: Path) -> None:
    from enxuto.techniques import DynamicInt8, WeightOnly

    proto = tiny_models.mlp(features=64, hidden=64, half=True)
    samples = samples_for(proto)
    work, here = Work(ir.from_proto(proto)), context(tmp_path, samples)
    with pytest.raises(NotApplicable) as refusal:
        apply_technique(HalfPrecision(require_kernels=False), work, here)
    assert refusal.value.code == "already_half_precision"
    for technique in (WeightOnly(), DynamicInt8()):
        with pytest.raises(NotApplicable):
            apply_technique(technique, work, here)
        done = apply_technique(technique, apply_technique(SinglePrecision(), work, here), here)
        assert drift(outputs_of(proto, samples), outputs_of(done.model, samples)) < 0.03


def test_where_the_processor_has_no_kernels_the_operators_are_named(tmp_path: Path) -> None:
    from enxuto.quantization.half import heavy_without_kernels

    proto = tiny_models.convnet(channels=16)
    lacking = heavy_without_kernels(normalized(ir.from_proto(proto)))
    if not lacking:
        pytest.skip("this processor has FP16 kernels for convolutions and matrix products")
    with pytest.raises(NotApplicable, match=f"no FP16 kernels for {', '.join(lacking)}") as refusal:
        apply_technique(HalfPrecision(), Work(ir.from_proto(proto)), context(tmp_path))
    assert refusal.value.code == "no_half_kernels"


def test_sequences_are_refused(tmp_path: Path) -> None:
    proto = with_weights(
        """
        <ir_version: 8, opset_import: ["" : 17]>
        sequences (float[batch, 16] x) => (float[batch, 16] y) {
            a = MatMul(x, w)
            both = SequenceConstruct(a, x)
            zero = Constant<value = int64 {0}>()
            y = SequenceAt(both, zero)
        }""",
        w=np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32),
    )
    with pytest.raises(NotApplicable, match="sequences") as refusal:
        apply_technique(HalfPrecision(require_kernels=False), Work(ir.from_proto(proto)), context(tmp_path))
    assert refusal.value.code == "types_not_known"
