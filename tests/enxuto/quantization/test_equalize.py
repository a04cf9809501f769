"""Channels of activations scaled to like ranges, and slices turned into convolutions: nothing else may change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

from enxuto.graph.apply import apply_technique
from enxuto.quantization.channels import shared_channels
from enxuto.quantization.linear import linears
from enxuto.quantization.points import OPERATORS, prepared
from enxuto.techniques import Work
from enxuto.techniques.static_int8 import StaticInt8
from tests.support.batches import context, drift, outputs_of, samples_for


def with_weights(text: str, weights: dict[str, np.ndarray]) -> ModelProto:
    proto = parse_model(text)
    for name, array in weights.items():
        proto.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    return proto


def uneven(activation: str) -> ModelProto:
    """A depthwise convolution that reads channels of very different size."""
    random = np.random.default_rng(0)
    wide = np.geomspace(0.02, 1, 8)
    return with_weights(
        f"""
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[batch, 4, 8, 8] x) => (float[batch, 4, 8, 8] y) {{
            zero = Constant<value = float {{0.0}}>()
            six = Constant<value = float {{6.0}}>()
            a = Conv<kernel_shape = [1, 1]>(x, w1)
            ra = {activation}
            d = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 8>(ra, w2, b2)
            y = Conv<kernel_shape = [1, 1]>(d, w3)
        }}""",
        {
            "w1": random.standard_normal((8, 4, 1, 1)) * wide.reshape(-1, 1, 1, 1) * 2,
            "w2": random.standard_normal((8, 1, 3, 3)) / wide.reshape(-1, 1, 1, 1),
            "b2": random.standard_normal(8),
            "w3": random.standard_normal((4, 8, 1, 1)),
        },
    )


def drifts(proto: ModelProto, folder: Path, calibration: str = "minmax") -> tuple[float, float]:
    """Without equalization, and with it."""
    samples, others = samples_for(proto, 32), samples_for(proto, 32, seed=1)
    expected = outputs_of(proto, others)
    found = []
    for equalization in (False, True):
        technique = StaticInt8.model_validate({"calibration": calibration, "equalization": equalization})
        done = apply_technique(technique, Work(ir.from_proto(proto)), context(folder, samples))
        found.append(drift(expected, outputs_of(done.model, others)))
    return found[0], found[1]


@pytest.mark.parametrize("activation", ["Relu(a)", "Clip(a, zero, six)", "Identity(a)"])
def test_small_channels_are_no_longer_lost(activation: str, tmp_path: Path) -> None:
    without, equalized = drifts(uneven(activation), tmp_path)
    assert equalized < 0.7 * without


@pytest.mark.parametrize("calibration", ["percentile", "mse"])
def test_small_channels_below_a_bound_count_however_ranges_are_chosen(calibration: str, tmp_path: Path) -> None:
    without, equalized = drifts(uneven("Clip(a, zero, six)"), tmp_path, calibration)
    assert equalized < 0.7 * without


@pytest.mark.parametrize("calibration", ["minmax", "mse"])
def test_a_bound_that_quantization_enforces_is_gone(calibration: str, tmp_path: Path) -> None:
    proto = uneven("Clip(a, zero, six)")
    samples = {"x": 8 * samples_for(proto, 32)["x"]}
    technique = StaticInt8.model_validate({"calibration": calibration})
    done = apply_technique(technique, Work(ir.from_proto(proto)), context(tmp_path, samples))
    operators = [node.op_type for node in done.model.graph]
    assert (operators.count("Relu"), operators.count("Clip")) == (1, 0)
    assert not [name for name in done.model.graph.initializers if "bound" in name]


@pytest.mark.parametrize("calibration", ["percentile", "mse", "entropy"])
def test_ranges_that_need_values_are_taken_again(calibration: str, tmp_path: Path) -> None:
    proto = uneven("Relu(a)")
    samples = samples_for(proto, 32)
    technique = StaticInt8.model_validate({"kind": "static_int8", "calibration": calibration})
    done = apply_technique(technique, Work(ir.from_proto(proto)), context(tmp_path, samples))
    assert drift(outputs_of(proto, samples), outputs_of(done.model, samples)) < 0.15


@pytest.mark.parametrize("calibration", ["minmax", "percentile", "mse", "entropy"])
def test_an_upper_bound_holds_however_ranges_are_chosen(calibration: str, tmp_path: Path) -> None:
    proto = uneven("Clip(a, zero, six)")
    samples = {"x": 20 * samples_for(proto, 32)["x"]}
    technique = StaticInt8.model_validate({"kind": "static_int8", "calibration": calibration})
    done = apply_technique(technique, Work(ir.from_proto(proto)), context(tmp_path, samples))
    assert drift(outputs_of(proto, samples), outputs_of(done.model, samples)) < 0.15


@pytest.mark.parametrize("layout", ["onnxruntime", "openvino"])
def test_a_bound_stays_where_its_reader_goes_back_to_floats(layout: str, tmp_path: Path) -> None:
    """The sum that is part of the reader's kernel is not finite at one place, so nothing cuts off in front of it."""
    random = np.random.default_rng(0)
    proto = with_weights(
        """
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[batch, 4, 8, 8] x) => (float[batch, 4, 8, 8] y, float[batch, 4, 8, 8] z, float[batch, 4, 8, 8] u) {
            zero = Constant<value = float {0.0}>()
            six = Constant<value = float {6.0}>()
            a = Conv(x, w1)
            ra = Clip(a, zero, six)
            b = Conv(ra, w2)
            other = Div(x, mostly_ones)
            sum = Add(b, other)
            c = Conv(sum, w3)
            bounded = Clip(c, zero, six)
            odd = IsNaN(bounded)
            u = Where(odd, zero, bounded)
            unknown = IsNaN(sum)
            far = IsInf(sum)
            none = Or(unknown, far)
            y = Where(none, zero, sum)
            z = Conv(x, w4)
        }""",
        {
            "w1": random.standard_normal((4, 4, 1, 1)) * np.array([20, 1, 0.3, 3]).reshape(4, 1, 1, 1),
            **{name: random.standard_normal((4, 4, 1, 1)) for name in ("w2", "w3", "w4")},
            "mostly_ones": (np.arange(64) > 0).reshape(8, 8),
        },
    )
    samples = samples_for(proto, 32)
    technique = StaticInt8.model_validate({"layout": layout})
    done = apply_technique(technique, Work(ir.from_proto(proto)), context(tmp_path, samples))
    assert drift(outputs_of(proto, samples), outputs_of(done.model, samples)) < 0.05


def test_a_bound_that_nothing_else_enforces_stays(tmp_path: Path) -> None:
    proto = uneven("Clip(a, zero, six)")
    samples = {"x": 8 * samples_for(proto, 32)["x"]}
    technique = StaticInt8(exclude=["Clip", *("Conv_" + name for name in "ab")])
    names = [f"Conv_{name}" for name in "ab"]
    for node, name in zip(proto.graph.node[2:5:2], names, strict=True):
        node.name = name
    done = apply_technique(technique, Work(ir.from_proto(proto)), context(tmp_path, samples))
    assert [node.op_type for node in done.model.graph].count("Clip") == 1
    assert drift(outputs_of(proto, samples), outputs_of(done.model, samples)) < 0.05


def test_tensors_of_a_residual_stream_belong_together() -> None:
    shapes = {"w1": (4, 4, 1, 1), "w2": (4, 4, 1, 1), "w3": (4, 4, 1, 1)}
    proto = with_weights(
        """
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y) {
            a = Conv(x, w1)
            b = Conv(a, w2)
            s = Add(a, b)
            y = Conv(s, w3)
        }""",
        {name: np.ones(shape) for name, shape in shapes.items()},
    )
    graph = ir.from_proto(proto).graph
    (shared,) = shared_channels(graph, list(linears(graph, OPERATORS)))
    assert {value.name for value in shared.tensors} == {"a", "b", "s"}
    assert (len(shared.writers), len(shared.readers)) == (2, 2)


SLICES = """
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[batch, 3, 9, 8] x) => (float[batch, {channels}, {rows}, 4] y) {{
        zero = Constant<value = int64[1] {{0}}>()
        far = Constant<value = int64[1] {{{end}}}>()
        two = Constant<value = int64[1] {{2}}>()
        three = Constant<value = int64[1] {{3}}>()
        pads = Constant<value = int64[8] {{0, 2, 0, 0, 0, 1, 0, 0}}>()
        a = Conv<kernel_shape = [1, 1]>(x, w)
        r = Relu(a)
        h = Slice({start}, far, two, two)
        s = Slice(h, zero, far, three, two)
        {last}
    }}"""


@pytest.mark.parametrize(("last", "channels"), [("y = Pad(s, pads)", 7), ("y = Relu(s)", 4)])
def test_strided_slices_are_a_convolution(last: str, channels: int, tmp_path: Path) -> None:
    text = SLICES.format(channels=channels, rows=5, end=2**63 - 1, start="r, zero", last=last)
    proto = with_weights(text, {"w": np.random.default_rng(0).standard_normal((4, 3, 1, 1))})
    model = prepared(ir.from_proto(proto), context(tmp_path))
    assert not {"Slice", "Pad"} & {node.op_type for node in model.graph}
    samples = samples_for(proto)
    (expected,), (found,) = outputs_of(proto, samples), outputs_of(model, samples)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("end", "start"), [(7, "r, zero"), (2**63 - 1, "r, two")])
def test_other_slices_stay(end: int, start: str, tmp_path: Path) -> None:
    text = SLICES.format(channels=7, rows=4, end=end, start=start, last="y = Pad(s, pads)")
    proto = with_weights(text, {"w": np.ones((4, 3, 1, 1))})
    model = prepared(ir.from_proto(proto), context(tmp_path))
    assert "Slice" in {node.op_type for node in model.graph}


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("float", "8"), ("float", "8, 8, 8"), ("float16", "8, 8")],
    ids=["a sequence", "a volume", "an image in half"],
)
def test_slices_of_what_is_no_float_image_stay(kind: str, shape: str, tmp_path: Path) -> None:
    axes = shape.count(",") + 1
    proto = with_weights(
        f"""
        <ir_version: 8, opset_import: ["" : 17]>
        g ({kind}[batch, 3, {shape}] x) => ({kind}[batch, channels, {", ".join("hwd"[:axes])}] y) {{
            zero = Constant<value = int64[1] {{0}}>()
            far = Constant<value = int64[1] {{{2**63 - 1}}}>()
            two = Constant<value = int64[1] {{2}}>()
            a = Conv(x, w)
            y = Slice(a, zero, far, two, two)
        }}""",
        {"w": np.ones((4, 3, *[1] * axes))},
    )
    if kind == "float16":
        weight = numpy_helper.to_array(proto.graph.initializer[0]).astype(np.float16)
        proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w"))
    model = prepared(ir.from_proto(proto), context(tmp_path))
    samples = samples_for(proto)
    np.testing.assert_array_equal(outputs_of(model, samples)[0], outputs_of(proto, samples)[0])
