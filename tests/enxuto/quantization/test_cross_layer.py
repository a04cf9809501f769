"""Equalization against the closed form that AIMET uses for a depthwise convolution between two others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

from enxuto.errors import NotApplicable
from enxuto.graph.apply import apply_technique
from enxuto.techniques import Work
from enxuto.techniques.cross_layer_equalization import CrossLayerEqualization
from tests.support.batches import context, drift, outputs_of, samples_for


def triple(activation: str = "Relu") -> ModelProto:
    proto = parse_model(
        f"""
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[batch, 4, 6, 6] x) => (float[batch, 3, 6, 6] y) {{
            zero = Constant<value = float {{0.0}}>()
            six = Constant<value = float {{6.0}}>()
            a = Conv<kernel_shape = [1, 1]>(x, w1, b1)
            ra = {activation}
            d = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 8>(ra, w2, b2)
            rd = Relu(d)
            y = Conv<kernel_shape = [1, 1]>(rd, w3, b3)
        }}""".replace("= Relu\n", "= Relu(a)\n")
    )
    random = np.random.default_rng(0)
    wide = np.geomspace(0.01, 10, 8).reshape(-1, 1, 1, 1)
    for name, array in {
        "w1": random.standard_normal((8, 4, 1, 1)), "b1": random.standard_normal(8),
        "w2": random.standard_normal((8, 1, 3, 3)) * wide, "b2": random.standard_normal(8),
        "w3": random.standard_normal((3, 8, 1, 1)), "b3": random.standard_normal(3),
    }.items():  # fmt: skip
        proto.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    return proto


def of_two_ranks() -> ModelProto:
    """A sum that broadcasts [8, 8] over the last two axes of images: its axis 1 is no channel."""
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[8, 8, 8, 8] x, float[8, 16] v) => (float[8, 8, 8, 8] y) {
            a = Conv<pads = [1, 1, 1, 1]>(x, w1)
            row = Gemm(v, w2)
            sum = Add(a, row)
            r = Relu(sum)
            y = Conv<pads = [1, 1, 1, 1]>(r, w3)
        }""")
    random = np.random.default_rng(0)
    wide = np.geomspace(0.01, 10, 8).reshape(-1, 1, 1, 1)
    for name, array in {
        "w1": random.standard_normal((8, 8, 3, 3)) * wide, "w2": random.standard_normal((16, 8)),
        "w3": random.standard_normal((8, 8, 3, 3)),
    }.items():  # fmt: skip
        proto.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    return proto


def test_a_sum_of_tensors_of_two_ranks_shares_no_channels(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable):
        equalized(of_two_ranks(), tmp_path)


def test_bounds_of_a_clip_may_be_vectors_of_one_number(tmp_path: Path) -> None:
    proto = triple("Clip(a, low, high)")
    for name, bound in (("low", 0.0), ("high", 6.0)):
        proto.graph.initializer.append(numpy_helper.from_array(np.array([bound], dtype=np.float32), name))
    found, _ = equalized(proto, tmp_path)
    given = samples_for(proto)
    assert drift(outputs_of(proto, given), outputs_of(found, given)) < 1e-5


def weights(model: ModelProto) -> list[np.ndarray]:
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return [arrays[node.input[1]] for node in model.graph.node if node.op_type == "Conv"]


def equalized(proto: ModelProto, folder: Path) -> tuple[ModelProto, tuple[str, ...]]:
    done = apply_technique(CrossLayerEqualization(), Work(ir.from_proto(proto)), context(folder))
    return ir.to_proto(done.model), done.notes


def test_three_layers_meet_at_their_geometric_mean(tmp_path: Path) -> None:
    proto = triple()
    first, middle, last = weights(proto)
    ranges = [np.abs(first).max(axis=(1, 2, 3)), np.abs(middle).max(axis=(1, 2, 3)), np.abs(last).max(axis=(0, 2, 3))]
    mean = np.cbrt(np.prod(ranges, axis=0))  # AIMET, cross_layer_equalization.py: scale_cle_set_with_depthwise_layers
    found, _ = equalized(proto, tmp_path)
    after = weights(found)
    np.testing.assert_allclose(after[0], first * (mean / ranges[0])[:, None, None, None], rtol=1e-3)
    np.testing.assert_allclose(after[1], middle * (mean / ranges[1])[:, None, None, None], rtol=1e-3)
    np.testing.assert_allclose(after[2], last * (mean / ranges[2])[None, :, None, None], rtol=1e-3)


def test_three_layers_are_those_of_aimet(tmp_path: Path) -> None:
    """``CrossLayerScaling(model).scale_model()`` of aimet-onnx 2.42.0 on the model above, groups written out.

    The 17 chains around depthwise convolutions in a real MobileNetV2 agree to 7e-6 (``python -m bench.references``).
    """
    found, _ = equalized(triple(), tmp_path)
    first, middle, last = weights(found)
    peaks = [0.2601377, 0.3754250, 0.7209174, 1.1216853, 0.7292414, 1.6186939, 1.8992634, 2.8711503]
    np.testing.assert_allclose(np.abs(first).max(axis=(1, 2, 3)), peaks, rtol=2e-4)
    np.testing.assert_allclose(np.abs(middle).max(axis=(1, 2, 3)), peaks, rtol=2e-4)
    np.testing.assert_allclose(np.abs(last).max(axis=(1, 2, 3)), [1.8992633, 2.8711503, 1.0548201], rtol=2e-4)
    np.testing.assert_allclose([first.sum(), middle.sum(), last.sum()], [-6.744183, -0.792851, 5.211723], rtol=1e-3)
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in found.graph.initializer}
    biases = [arrays[node.input[2]] for node in found.graph.node if node.op_type == "Conv"]
    expected = [-0.06467671, 0.15571085, 0.12229244, 0.17144564, -0.4573552, -0.15353855, 1.6154225, 4.247017]
    np.testing.assert_allclose(biases[0], expected, rtol=2e-4)
    np.testing.assert_allclose([bias.sum() for bias in biases], [5.636318, 3.870893, -1.941134], rtol=1e-3)


def test_outputs_stay_as_they_are(tmp_path: Path) -> None:
    proto = triple()
    samples = samples_for(proto)
    found, _ = equalized(proto, tmp_path)
    assert drift(outputs_of(proto, samples), outputs_of(found, samples)) < 1e-5


def test_an_upper_bound_is_left_alone_and_said_to_be(tmp_path: Path) -> None:
    proto = triple("Clip(a, zero, six)")
    found, notes = equalized(proto, tmp_path)
    assert "1 more have an upper bound" in notes[0]
    np.testing.assert_array_equal(weights(found)[0], weights(proto)[0])
    samples = {"x": 10 * samples_for(proto)["x"]}
    assert drift(outputs_of(proto, samples), outputs_of(found, samples)) < 1e-5


@pytest.mark.parametrize("activation", ["Sigmoid(a)", "Add(a, six)"])
def test_what_lets_no_factor_pass_is_left_alone(activation: str, tmp_path: Path) -> None:
    proto = triple(activation)
    found, _ = equalized(proto, tmp_path)
    np.testing.assert_array_equal(weights(found)[0], weights(proto)[0])


def test_a_tensor_that_leaves_the_model_keeps_its_values(tmp_path: Path) -> None:
    proto = triple()
    proto.graph.output.append(
        parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[batch, 8, 6, 6] rd) => (float[batch, 8, 6, 6] rd) {}""").graph.output[0]
    )
    samples = samples_for(proto)
    found, _ = equalized(proto, tmp_path)
    assert drift(outputs_of(proto, samples)[1:], outputs_of(found, samples)[1:]) < 1e-5


def test_a_model_without_neighbours_is_refused(tmp_path: Path) -> None:
    proto = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[batch, 4] x) => (float[batch, 4] y) { y = Relu(x) }""")
    with pytest.raises(NotApplicable) as refusal:
        equalized(proto, tmp_path)
    assert refusal.value.code == "nothing_to_equalize"
