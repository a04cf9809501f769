"""Real runtimes are profiled: nodes as they were fused, with counts by hand, and what they were made of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.parser import parse_model

from enxuto.errors import BadInput
from enxuto.measure.profile import profile_model
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.steps import ModelProfile, NodeProfile, ProfileModel, Samples, Subject
from enxuto.workload import Workload
from tests.support import tiny_models
from tests.support.tiny_samples import StepFiles

OPENVINO = OpenVinoSettings()


@pytest.fixture
def files(tmp_path: Path) -> StepFiles:
    return StepFiles(tmp_path)


def profiled(
    files: StepFiles,
    out: Path,
    model: onnx.ModelProto,
    settings: RunSettings | None = None,
    batch_size: int = 2,
    samples: Samples | None = None,
    **dims: int,
) -> ModelProfile:
    step = ProfileModel(
        subject=Subject(model=files.add_model(model), settings=settings or OnnxRuntimeSettings()),
        workload=Workload(batch_size=batch_size, dims=dims),
        samples=samples,
        preprocessing={},
        seed=0,
        duration_s=0.15,
    )
    return profile_model(step, files, out)


def weighted(text: str, **weights: np.ndarray) -> onnx.ModelProto:
    model = parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{text}')
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    onnx.checker.check_model(model)
    return model


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def residual() -> onnx.ModelProto:
    """A block as ResNets have it, wide enough for the blocked layout."""
    return weighted(
        """
        residual (float[batch, 16, 12, 12] image) => (float[batch, 16, 12, 12] last) {
            [first] c1 = Conv<pads = [1, 1, 1, 1]>(image, w1)
            [first_relu] r1 = Relu(c1)
            [second] c2 = Conv<pads = [1, 1, 1, 1]>(r1, w2)
            [sum] s = Add(c2, r1)
            [sum_relu] r2 = Relu(s)
            [third] last = Conv<pads = [1, 1, 1, 1]>(r2, w3)
        }
        """,
        w1=normal(16, 16, 3, 3), w2=normal(16, 16, 3, 3), w3=normal(16, 16, 3, 3),
    )  # fmt: skip


def quantized_linear() -> onnx.ModelProto:
    """A matrix product between quantizations, as quantizers write it."""
    return weighted(
        """
        linear (float[batch, 64] x) => (float[batch, 32] y) {
            [x_q] xq = QuantizeLinear(x, s, z)
            [x_dq] xd = DequantizeLinear(xq, s, z)
            [w_dq] wd = DequantizeLinear(w, sw, zw)
            [product] p = MatMul(xd, wd)
            [p_q] pq = QuantizeLinear(p, so, z)
            [p_dq] y = DequantizeLinear(pq, so, z)
        }
        """,
        w=np.random.default_rng(0).integers(-127, 128, (64, 32), dtype=np.int8),
        s=np.array(0.02, np.float32), sw=np.array(0.01, np.float32), so=np.array(0.1, np.float32),
        z=np.array(128, np.uint8), zw=np.array(0, np.int8),
    )  # fmt: skip


def only(profile: ModelProfile, op_type: str) -> NodeProfile:
    (node,) = [node for node in profile.nodes if node.op_type == op_type]
    return node


def test_fused_nodes_are_counted_and_traced_back_to_the_file(files: StepFiles, tmp_path: Path) -> None:
    profile = profiled(files, tmp_path, residual())
    convolutions = [node for node in profile.nodes if node.op_type.endswith("Conv")]
    assert [node.origin for node in convolutions] == [["first", "first_relu"], ["second", "sum", "sum_relu"], ["third"]]
    assert [node.tensor for node in convolutions] == ["r1", "r2", "last"]
    operations, image, weights = 2 * (2 * 16 * 12 * 12) * (16 * 9), 4 * 2 * 16 * 144, 4 * 16 * 16 * 9
    assert [node.operations for node in convolutions] == [operations] * 3
    assert [node.output_bytes for node in convolutions] == [image] * 3
    first, second, _ = (node.moved_bytes for node in convolutions)
    assert first is not None
    assert second == first  # what is added is what was read already
    assert 0 <= first - (2 * image + weights) <= 4 * 16  # ONNX Runtime may give a bias to a convolution without one
    assert all(node.weight_bytes in (weights, weights + 4 * 16) for node in convolutions)
    assert {node.precision for node in convolutions} == {"float32"}


def test_nodes_together_take_no_longer_than_a_call(files: StepFiles, tmp_path: Path) -> None:
    profile = profiled(files, tmp_path, residual(), batch_size=16)
    together = sum(node.ms for node in profile.nodes)
    assert 0.2 * profile.call_ms < together <= 1.01 * profile.call_ms
    assert all(node.ms > 0 for node in profile.nodes)
    assert profile.calls >= 5


def test_the_larger_product_takes_the_larger_share(files: StepFiles, tmp_path: Path) -> None:
    model = weighted(
        "g (float[batch, 512] x) => (float[batch, 512] y) { [large] h = MatMul(x, w) [small] y = Mul(h, s) }",
        w=normal(512, 512), s=normal(512),
    )  # fmt: skip
    large, small = profiled(files, tmp_path, model, batch_size=64).nodes
    assert (large.operations, small.operations) == (2 * 64 * 512 * 512, 64 * 512)
    assert large.moved_bytes == 4 * (64 * 512 * 2 + 512 * 512)
    assert large.ms > 3 * small.ms


def test_integer_products_are_known_as_such(files: StepFiles, tmp_path: Path) -> None:
    product = only(profiled(files, tmp_path, quantized_linear()), "QLinearMatMul")
    assert (product.precision, product.operations) == ("int8", 2 * 2 * 64 * 32)
    assert product.origin == ["x_dq", "product", "p_q"]
    assert product.tensor == "pq"
    assert product.output_bytes == 2 * 32


def test_weights_that_a_kernel_packs_for_itself_count(files: StepFiles, tmp_path: Path) -> None:
    model = weighted(
        """
        g (float[6, batch, 8] x) => (float[6, 1, batch, 16] y) {
            [recurrent] y = GRU<hidden_size = 16>(x, w, r)
        }
        """,
        w=normal(1, 48, 8), r=normal(1, 48, 16),
    )  # fmt: skip
    recurrent = only(profiled(files, tmp_path, model, batch=2), "GRU")
    assert recurrent.operations == 2 * 6 * 2 * 48 * (8 + 16)
    assert recurrent.moved_bytes == 4 * (6 * 2 * 8 + 48 * 8 + 48 * 16 + 6 * 2 * 16)


def test_nodes_without_a_name_go_by_what_they_make(files: StepFiles, tmp_path: Path) -> None:
    profile = profiled(files, tmp_path, tiny_models.mlp())
    assert all(node.name and node.origin for node in profile.nodes)
    assert {name for node in profile.nodes for name in node.origin} == {"h", "hb", "a", "o", "y"}


def test_nodes_inside_others_are_not_counted_twice(files: StepFiles, tmp_path: Path) -> None:
    loop = weighted(
        """
        looped (float[64, 64] x) => (float[64, 64] y) {
            trips = Constant<value = int64 {20}>()
            going = Constant<value = bool {1}>()
            [around] y = Loop(trips, going, x) <
                body = each (int64 trip, bool on, float[64, 64] state) => (bool still, float[64, 64] after) {
                    [still_on] still = Identity(on)
                    [inside] after = MatMul(state, w)
                }
            >
        }
        """,
        w=(np.eye(64) * 0.5).astype(np.float32),
    )
    profile = profiled(files, tmp_path, loop)
    around, inside = only(profile, "Loop"), only(profile, "MatMul")
    assert sum(node.ms for node in profile.nodes) < 1.2 * profile.recorded_ms  # with the body twice, it were far more
    assert inside.ms > 0.1 * around.ms


def test_what_was_recorded_is_kept_as_the_runtime_wrote_it(files: StepFiles, tmp_path: Path) -> None:
    profile = profiled(files, tmp_path, residual())
    events = json.loads((tmp_path / profile.profile_file).read_text())
    assert {event["args"]["op_name"] for event in events if event["cat"] == "Node"} >= {"Conv"}
    assert not list(tmp_path.glob("*/optimized.onnx"))


def test_openvino_tells_its_nodes_too(files: StepFiles, tmp_path: Path) -> None:
    profile = profiled(files, tmp_path, residual(), OPENVINO, batch_size=8)
    convolutions = [node for node in profile.nodes if node.op_type == "Convolution"]
    assert [node.operations for node in convolutions] == [2 * (8 * 16 * 12 * 12) * (16 * 9)] * 3
    assert [node.origin[0] for node in convolutions] == ["first", "second", "third"]
    assert {node.precision for node in convolutions} == {"float32"}
    assert all(node.moved_bytes and node.ms > 0 for node in convolutions)
    assert [node.weight_bytes for node in convolutions] == [4 * 16 * 16 * 9] * 3
    recorded = json.loads((tmp_path / profile.profile_file).read_text())
    assert {node["layerType"] for node in recorded["nodes"]} >= {"Convolution"}


def test_samples_decide_the_shapes(files: StepFiles, tmp_path: Path) -> None:
    samples = files.samples({"tokens": np.zeros((10, 7), np.int64)})
    profile = profiled(files, tmp_path, tiny_models.tokens(), samples=samples, batch_size=3)
    products = [node.operations for node in profile.nodes if node.op_type == "MatMul"]
    assert products == [2 * 3 * 7 * 8 * 8, 2 * 3 * 7 * 8 * 20]


def test_branches_at_the_same_time_are_told_as_they_ran(files: StepFiles, tmp_path: Path) -> None:
    settings = OnnxRuntimeSettings(execution_mode="parallel", inter_op_threads=2)
    profile = profiled(files, tmp_path, tiny_models.two_in_two_out(), settings)
    assert len(profile.nodes) == 3
    assert profile.recording_us == 0


def test_a_model_that_does_not_run_says_so(files: StepFiles, tmp_path: Path) -> None:
    model = weighted("g (float[batch, 4] x) => (float[n, 5] y) { y = Reshape(x, shape) }", shape=np.array([-1, 5]))
    with pytest.raises(BadInput) as refusal:
        profiled(files, tmp_path, model, batch_size=2)
    assert refusal.value.code == "model_fails_to_run"
