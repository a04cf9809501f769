"""Times of layers, from the profiles of the original and of the quantized model."""

from __future__ import annotations

import pytest

from enxuto.search.layer_times import layer_scores
from enxuto.search.slower import slower_operators
from enxuto.steps import HostNoise, LayerSensitivity, ModelProfile, NodeProfile


def ran(op_type: str, *origin: str, us: float, tensor: str | None = None, name: str = "") -> NodeProfile:
    return NodeProfile(
        name=name or (origin[0] if origin else op_type), op_type=op_type, origin=list(origin), tensor=tensor,
        ms=us / 1000, output_bytes=4096, moved_bytes=None, weight_bytes=None, precision=None,
        operations=10 if "Conv" in op_type or "MatMul" in op_type else 0,
    )  # fmt: skip


def profile(*nodes: NodeProfile) -> ModelProfile:
    quiet = HostNoise(load_1m=None, steal_share=None, pressure_share=None)
    total = sum(node.ms for node in nodes)
    return ModelProfile(call_ms=total, recorded_ms=total, calls=10, nodes=list(nodes), noise=quiet, profile_file="p")


def sensitivity(name: str, *nodes: str, tensors: tuple[str, ...] = (), follows: bool = False) -> LayerSensitivity:
    return LayerSensitivity(
        name=name, operator="Conv", parameters=1, noise=1e-4, own_noise=1e-4, sqnr_db=40.0, bytes_saved=3,
        tensor_noise=dict.fromkeys(tensors, 0.0), nodes=list(nodes or (name,)), follows=follows,
    )  # fmt: skip


def test_a_fused_layer_is_timed_before_and_after() -> None:
    before = profile(ran("nchwc.Conv", "conv1", "add", "relu", us=30), ran("nchwc.Conv", "conv2", us=20))
    after = profile(
        ran("QLinearConv", "conv1", "QuantizeLinear_3", us=9), ran("QLinearAdd", "add", "relu", us=2),
        ran("QLinearConv", "conv2", us=25),
    )  # fmt: skip
    layers = [sensitivity("conv1"), sensitivity("add", follows=True), sensitivity("conv2")]
    first, following, second = layer_scores(layers, before, after)
    assert (first.before_us, first.after_us) == (pytest.approx(30), pytest.approx(9))
    assert (following.before_us, following.after_us) == (pytest.approx(0), pytest.approx(2))
    assert (second.before_us, second.after_us) == (pytest.approx(20), pytest.approx(25))


def test_what_quantizes_a_tensor_belongs_to_the_layers_that_want_it() -> None:
    before = profile(ran("Conv", "conv1", us=30))
    after = profile(
        ran("QuantizeLinear", "QuantizeLinear_1", us=4, tensor="x_uint8"), ran("QLinearConv", "conv1", us=9)
    )
    (score,) = layer_scores([sensitivity("conv1", tensors=("x",))], before, after)
    assert score.after_us == pytest.approx(13)


def test_layers_that_a_technique_replaced_are_found_by_what_they_became() -> None:
    before = profile(
        ran("MatMul", "q", us=40), ran("Add", "q_bias", us=5), ran("MatMul", "k", us=40), ran("Add", "k_bias", us=5)
    )
    after = profile(
        ran("DynamicQuantizeLinear", "DQL_1", us=6),
        ran("MatMulIntegerToFloat", "MatMulInteger_1", "Mul_1", "q_bias", us=10),
        ran("MatMulIntegerToFloat", "MatMulInteger_2", "Mul_2", "k_bias", us=12),
    )
    layers = [
        sensitivity("q", "DQL_1", "MatMulInteger_1", "Mul_1"),
        sensitivity("k", "DQL_1", "MatMulInteger_2", "Mul_2"),
    ]
    q, k = layer_scores(layers, before, after)
    assert (q.before_us, q.after_us) == (pytest.approx(45), pytest.approx(13))
    assert (k.before_us, k.after_us) == (pytest.approx(45), pytest.approx(15))


def test_a_layer_that_no_profile_shows_has_no_times() -> None:
    (score,) = layer_scores([sensitivity("gone")], profile(ran("Conv", "other", us=1)), profile())
    assert (score.before_us, score.after_us) == (None, None)
    (unprofiled,) = layer_scores([sensitivity("conv")])
    assert unprofiled.before_us is None


def test_borders_cost_more_the_more_is_written() -> None:
    wide = ran("Conv", "wide", us=5).model_copy(update={"output_bytes": 1 << 20})
    before, after = profile(wide, ran("Conv", "narrow", us=5)), profile(ran("QLinearConv", "wide", us=3))
    first, second = layer_scores([sensitivity("wide"), sensitivity("narrow")], before, after)
    assert (first.border_us or 0) > 10 * (second.border_us or 1)


def test_slower_operators_are_named_the_worst_first() -> None:
    before = profile(ran("Conv", "stem", us=10), ran("Conv", "body", us=100), ran("Softmax", "soft", us=5))
    after = profile(
        ran("QuantizeLinear", us=400), ran("DequantizeLinear", us=412), ran("QLinearConv", "stem", us=60),
        ran("QLinearConv", "body", us=40), ran("Softmax", "soft", us=5.2),
    )  # fmt: skip
    rows = slower_operators(before, after)
    assert [row.name for row in rows] == ["QuantizeLinear/DequantizeLinear", "stem"]
    assert (rows[0].before_us, rows[0].after_us) == (0.0, pytest.approx(812))
    assert (rows[1].operator, rows[1].before_us, rows[1].after_us) == ("Conv", pytest.approx(10), pytest.approx(60))


def test_a_faster_model_has_no_slower_operators() -> None:
    assert slower_operators(profile(ran("Conv", "a", us=50)), profile(ran("QLinearConv", "a", us=20))) == []


def test_no_operator_is_blamed_by_a_record_that_leaves_out_what_the_other_has() -> None:
    before, after = profile(ran("GRU", "a", us=20)), profile(ran("GRU", "a", us=200))
    assert slower_operators(before, after)
    assert slower_operators(before.model_copy(update={"call_ms": 0.21}), after) == []
