"""Integer sums with pairs that saturate, as processors without VNNI add them up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import ModelProto, numpy_helper
from onnx.parser import parse_model

from enxuto.judge.emulate.fused import FusedGraph
from enxuto.judge.emulate.products import can_saturate, products
from enxuto.judge.emulate.run import Emulator
from enxuto.judge.emulate.sums import Adder, TooCostlyError
from enxuto.machine import this_machine
from enxuto.processor import processor_of
from tests.support.integer_nodes import NODES, IntegerNode

HERE_SATURATES = processor_of(this_machine().instruction_sets) == "x86_avx2"
PLENTY = 1e12


def emulated(model: ModelProto, feeds: dict[str, np.ndarray], folder: Path, *, saturate: bool) -> np.ndarray:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    graph = FusedGraph(path, folder)
    return Emulator(graph, list(products(graph)), saturate=saturate, multiplies=PLENTY).run(feeds)[graph.outputs[0]]


def one_by_one(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """VPMADDUBSW as its definition has it, then sums in 32 bits."""
    out = np.zeros((len(left), right.shape[1]), np.int64)
    for row, column in np.ndindex(*out.shape):
        products_ = left[row].astype(int) * right[:, column].astype(int)
        padded = np.append(products_, [0] * (len(products_) % 2))
        out[row, column] = sum(max(-32768, min(32767, int(a + b))) for a, b in padded.reshape(-1, 2))
    return out


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_sums_as_they_are_here_give_what_the_runtime_gives(node: IntegerNode, tmp_path: Path) -> None:
    session = ort.InferenceSession(node.model().SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, node.feeds())[0]
    found = emulated(node.model(), node.feeds(), tmp_path, saturate=HERE_SATURATES)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


# ``bench/portability.py`` makes these checksums of what ONNX Runtime 1.31 gave on an emulated Haswell.
SEEN_ON_HASWELL = {
    "MatMulInteger9": 1217654.0,
    "MatMulIntegerRow9": 223406.0,
    "MatMulIntegerBoth9": 486094.0,
    "QLinearMatMul9": 8236.0,
    "QGemm9": 8236.0,
    "MatMulIntegerToFloat9": 206.6247373148799,
    "DynamicQuantizeMatMul9": 148.77773289382458,
    "MatMulInteger128": -2091285.0,
    "MatMulIntegerRow128": -254681.0,
    "MatMulIntegerBoth128": -12291890.0,
    "QLinearMatMul128": 7591.0,
    "QGemm128": 7592.0,
    "MatMulIntegerToFloat128": -417.4419388771057,
    "DynamicQuantizeMatMul128": -255.15918585285544,
    "three_channels": 99771.0,
    "sixteen_channels": 205965.0,
    "dilated": 23109.0,
    "same_upper": 12337.0,
    "groups": 35263.0,
    "depthwise": 106318.0,
    "two_for_each_channel": 51083.0,
    "pointwise": 3630.0,
    "one_axis": 8350.0,
    "three_axes": 56694.0,
    "weights_around_five": 78147.0,
}


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_saturating_sums_give_what_a_processor_without_vnni_gave(node: IntegerNode, tmp_path: Path) -> None:
    found = emulated(node.model(), node.feeds(), tmp_path, saturate=True)
    assert float(found.astype(np.float64).sum()) == pytest.approx(SEEN_ON_HASWELL[node.name], rel=1e-7)


@pytest.mark.parametrize("summed", [1, 2, 7, 64])
def test_only_what_clipping_changes_is_added(summed: int) -> None:
    random = np.random.default_rng(0)
    left = random.integers(0, 256, (6, summed)).astype(np.uint8)
    right = random.integers(-128, 128, (summed, 9)).astype(np.int8)
    adder = Adder(saturate=True, multiplies_left=PLENTY)
    np.testing.assert_array_equal(adder.sums(left, right), one_by_one(left, right))
    exact = left.astype(int) @ right.astype(int)
    np.testing.assert_array_equal(Adder(saturate=False, multiplies_left=PLENTY).sums(left, right), exact)
    assert adder.pairs == 6 * 9 * -(-summed // 2)
    assert (adder.saturated > 0) == (summed > 1)


def test_what_was_found_out_about_weights_holds_for_other_activations() -> None:
    right = np.full((4, 2), 127, np.int8)
    adder = Adder(saturate=True, multiplies_left=PLENTY)
    for value in (10, 255, 100):
        left = np.full((3, 4), value, np.uint8)
        np.testing.assert_array_equal(adder.sums(left, right, "weights"), one_by_one(left, right))


@pytest.mark.parametrize(
    ("weights", "expected"),
    [([64, 64], False), ([65, 64], True), ([-64, -64], False), ([-65, -64], True), ([127, -128], False),
     ([127, 0, 0, 127], False), ([0, 127, 127, 0], False), ([0, 0, 127, 2], True), ([127], False)],
)  # fmt: skip
def test_neighbours_of_one_sign_saturate_together(weights: list[int], expected: bool) -> None:
    assert can_saturate(np.array(weights, np.int8).reshape(1, -1, 1)) is expected


def test_seven_bits_never_saturate() -> None:
    assert not can_saturate(np.full((1, 64, 3), 63, np.int8))


def test_stops_before_it_takes_too_long() -> None:
    adder = Adder(saturate=False, multiplies_left=100)
    with pytest.raises(TooCostlyError):
        adder.sums(np.zeros((10, 10), np.uint8), np.zeros((10, 2), np.int8))


def branching() -> ModelProto:
    """Products one behind the other, beside a branch of control flow that reads what lies outside of it."""
    model = parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        branching (float[batch, 16] x, bool flag) => (float[batch, 4] y, float[batch, 16] rest) {
            a, a_scale, a_zero = DynamicQuantizeLinear(x)
            h = MatMulInteger(a, w1, a_zero)
            hf = Cast<to = 1>(h)
            hs = Mul(hf, a_scale)
            chosen = If(flag) <
                then_branch = yes () => (float[batch, 16] one) { one = Relu(hs) },
                else_branch = no () => (float[batch, 16] other) { other = Add(hs, x) }
            >
            rest = Identity(chosen)
            b, b_scale, b_zero = DynamicQuantizeLinear(chosen)
            o = MatMulInteger(b, w2, b_zero)
            of = Cast<to = 1>(o)
            y = Mul(of, b_scale)
        }""")
    random = np.random.default_rng(0)
    for name, shape in {"w1": (16, 16), "w2": (16, 4)}.items():
        array = random.integers(-128, 128, shape).astype(np.int8)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


@pytest.mark.parametrize("flag", [True, False])
def test_all_else_is_run_by_the_runtime_around_the_sums(flag: bool, tmp_path: Path) -> None:
    feeds = {"x": np.random.default_rng(1).standard_normal((3, 16)).astype(np.float32), "flag": np.array(flag)}
    session = ort.InferenceSession(branching().SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(["y"], feeds)[0]
    found = emulated(branching(), feeds, tmp_path, saturate=HERE_SATURATES)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
