"""Our arithmetic against ONNX's own definition of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.parser import parse_model
from onnx.reference import ReferenceEvaluator

from enxuto.quantization.affine import (
    Range,
    for_range,
    quantize_bias,
    quantize_weight,
    scales_that_hold,
    spread,
    takes_integers,
    weight_scales,
)

FINITE = st.floats(-1e6, 1e6, width=32)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_quantizing_agrees_with_the_specification(dtype: str) -> None:
    model = parse_model(f"""
        <ir_version: 8, opset_import: ["" : 19]>
        g (float[n] x, float scale, {dtype} zero) => ({dtype}[n] q, float[n] back) {{
            q = QuantizeLinear(x, scale, zero)
            back = DequantizeLinear(q, scale, zero)
        }}""")
    values = np.random.default_rng(0).normal(0.3, 2, 1000).astype(np.float32)
    affine = for_range(Range(-3.0, 5.0), dtype)  # type: ignore[arg-type]
    q, _ = ReferenceEvaluator(model).run(None, {"x": values, "scale": affine.scale, "zero": affine.zero_point})
    np.testing.assert_array_equal(affine.quantize(values), q)


@given(low=FINITE, high=FINITE)
def test_zero_is_always_one_of_the_levels(low: float, high: float) -> None:
    affine = for_range(Range(min(low, high), max(low, high)), "uint8")
    quantized = affine.quantize(np.zeros(1, dtype=np.float32))
    assert (quantized.astype(np.float32) - affine.zero_point).item() == 0
    assert affine.scale > 0


def test_a_weights_error_is_at_most_half_a_step() -> None:
    weight = np.random.default_rng(0).standard_normal((8, 4, 3, 3)).astype(np.float32)
    scales = weight_scales(weight, 0, 127)
    integers = quantize_weight(weight, scales, 0, 127)
    assert np.abs(integers).max() == 127
    assert np.all(np.abs(integers * spread(scales, 4, 0) - weight) <= spread(scales, 4, 0) * 0.501)


def test_seven_bits_are_kept_where_they_are_asked_for() -> None:
    weight = np.random.default_rng(0).standard_normal((8, 16)).astype(np.float32)
    assert np.abs(quantize_weight(weight, weight_scales(weight, None, 63), None, 63)).max() == 63


def test_a_channel_of_zeros_has_a_scale_that_can_be_divided_by() -> None:
    weight = np.array([[0, 0], [1, 2]], dtype=np.float32)
    assert np.all(weight_scales(weight, 0, 127) > 0)
    assert np.all(weight_scales(np.zeros_like(weight), 0, 127) > 0)


def test_a_large_bias_beside_small_weights_still_fits_into_32_bits() -> None:
    bias = np.array([1e3, -1e3], dtype=np.float32)
    scales = scales_that_hold(np.array([1e-12, 1e-12], dtype=np.float32), 0.01, bias) * np.float32(0.01)
    restored = quantize_bias(bias, scales) * scales
    np.testing.assert_allclose(restored, bias, rtol=1e-5)


@pytest.mark.parametrize(
    ("peak", "takes"), [(0.0, True), (1e-36, False), (1e-31, False), (1e-20, True), (3e38, True), (np.inf, False)]
)
def test_integers_stand_for_numbers_whose_steps_float32_can_tell(peak: float, takes: bool) -> None:
    assert takes_integers(np.array([0, -peak / 3, peak], dtype=np.float32)) is takes
    assert takes_integers(np.array([0, peak / 3, -peak], dtype=np.float32)) is takes
