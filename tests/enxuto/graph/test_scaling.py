"""What is scaled and shifted in front of a product goes into it, where that answers the same."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx_ir as ir
import pytest
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

from enxuto.graph.optimize import optimized
from tests.support.batches import drift, outputs_of

FIGURES = {
    "m": (np.array([3.0, -1.0, 0.5, 9.0]), (4,)),
    "s": (np.array([2.0, 0.5, 4.0, 0.25]), (4,)),
    "mi": (np.array([3.0, -1.0, 0.5, 9.0]), (1, 4, 1, 1)),
    "si": (np.array([2.0, 0.5, 4.0, 0.25]), (1, 4, 1, 1)),
    "v": (np.array([1.0, 0.5, 3.0, 2.0]), (4,)),
    "half": (np.array([0.5]), ()),
    "huge": (np.array([1e30, 1e30, 1e30, 1e30]), (4,)),
    "large": (np.full((4, 5), 1e10), (4, 5)),
    "each": (np.linspace(0.5, 2.0, 32), (4, 8)),
    "k1": (None, (6, 4, 3)),
    "far": (np.array([1e4, 1e4, 1e4, 1e4]), (4,)),
    "w": (None, (4, 5)),
    "wt": (None, (5, 4)),
    "b": (None, (5,)),
    "k": (None, (6, 4, 3, 3)),
    "kg": (None, (6, 2, 3, 3)),
    "bk": (None, (6,)),
}  # fmt: skip
FEATURES, IMAGES = "float[n, 4] x", "float[n, 4, 8, 8] x"


def model(body: str, given: str = FEATURES, *, outputs: str = "float y") -> ModelProto:
    proto = parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        scaled ({given}) => ({outputs}) {{ {body} }}""")
    random = np.random.default_rng(0)
    for name in sorted({value for node in proto.graph.node for value in node.input} & FIGURES.keys()):
        numbers, shape = FIGURES[name]
        array = random.standard_normal(shape) if numbers is None else numbers.reshape(shape)
        proto.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    return proto


def merged(proto: ModelProto) -> Counter[str]:
    """The operators that are left, after answering as before."""
    found = optimized(ir.from_proto(proto), scaling=True)
    given = proto.graph.input[0].type.tensor_type
    shape = [axis.dim_value or 3 for axis in given.shape.dim]
    feeds = {"x": np.random.default_rng(1).standard_normal(shape).astype(np.float32)}
    assert drift(outputs_of(proto, feeds), outputs_of(found, feeds)) < 1e-6
    return Counter(node.op_type for node in found.graph)


@pytest.mark.parametrize(
    "body",
    [
        "a = Sub(x, m) c = Mul(a, s) y = Gemm(c, w, b)",
        "a = Sub(x, m) c = Div(a, s) y = Gemm<transB = 1>(c, wt, b)",
        "c = Mul(half, x) a = Add(m, c) y = Gemm(a, w)",
        "a = Sub(x, m) c = Mul(a, s) p = MatMul(c, w) y = Add(p, b)",
    ],
)
def test_standardized_features_go_into_the_first_layer(body: str) -> None:
    assert merged(model(body)) == Counter({"Gemm": 1})


@pytest.mark.parametrize("body", ["y = Conv(c, k, bk)", "y = Conv(c, k)", "y = Conv<group = 2>(c, kg, bk)"])
def test_standardized_images_go_into_the_first_convolution(body: str) -> None:
    assert merged(model(f"a = Sub(x, mi) c = Div(a, si) {body}", IMAGES)) == Counter({"Conv": 1})


def test_at_padded_edges_there_is_nothing_to_shift() -> None:
    body = "a = Sub(x, mi) c = Div(a, si) y = Conv<pads = [1, 1, 1, 1]>(c, k, bk)"
    assert merged(model(body, IMAGES)) == Counter({"Sub": 1, "Conv": 1})


def test_a_batch_norm_behind_an_activation_goes_into_the_layer_behind() -> None:
    body = "r = Relu(x) c = BatchNormalization(r, s, m, m, v) y = Gemm(c, w, b)"
    assert merged(model(body)) == Counter({"Relu": 1, "Gemm": 1})


def test_a_batch_norm_goes_into_an_unpadded_convolution() -> None:
    body = "r = Relu(x) c = BatchNormalization(r, s, m, m, v) y = Conv(c, k)"
    assert merged(model(body, IMAGES)) == Counter({"Relu": 1, "Conv": 1})


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        ("r = Relu(x) c = Mul(r, s) y = Gemm(c, w, b)", "float y"),  # part of a GELU or of a norm, perhaps
        ("c = Mul(x, s) y = Gemm(c, w, b) z = Relu(c)", "float y, float z"),
        ("c = Mul(x, s) y = Gemm(c, w, b)", "float y, float c"),
        ("c = Mul(x, s) y = Gemm(c, w, b) d = Neg(x) z = Gemm(d, w, b)", "float y, float z"),
        ("c = Sub(x, far) y = Gemm(c, w, b)", "float y"),  # digits that are gone would not come back
        ("c = Mul(x, s) y = Gemm<alpha = 0.5>(c, w, b)", "float y"),
    ],
)
def test_what_others_read_or_recognize_stays(body: str, outputs: str) -> None:
    proto = model(body, outputs=outputs)
    assert merged(proto) == Counter(node.op_type for node in proto.graph.node)


def test_a_factor_that_takes_a_weight_beyond_its_type_stays() -> None:
    proto = model("t = Mul(x, tiny) c = Mul(t, huge) y = Gemm(c, large)")
    proto.graph.initializer.append(numpy_helper.from_array(np.array([1e-30], np.float32), "tiny"))
    assert merged(proto)["Mul"] == 2


def test_a_batch_norm_of_every_place_stays() -> None:
    """As until opset 9, with figures for each channel at each place."""
    body = "r = Relu(x) c = BatchNormalization<spatial = 0>(r, each, each, each, each) y = Conv(c, k1)"
    proto = model(body, "float[n, 4, 8] x")
    proto.opset_import[0].version = 7
    assert merged(proto)["BatchNormalization"] == 1


def test_one_feature_that_spreads_over_four_stays() -> None:
    assert merged(model("c = Mul(x, s) y = Gemm(c, w, b)", "float[n, 1] x"))["Mul"] == 1
