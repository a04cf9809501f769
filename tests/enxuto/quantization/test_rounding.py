"""Rounding that keeps sums, against plain loops over the same rules, and the biases that take back the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.parser import parse_model
from onnx_ir import from_proto

from enxuto.quantization.bias import shift
from enxuto.quantization.rounding import rounded


def by_hand(steps: np.ndarray) -> np.ndarray:
    """SQuant as its paper tells it (algorithms 1 to 3), one value after the other, where no limit is near.

    Agrees with the authors' ``SQuant_func`` in its loops: the same number of values changed, the same order, and one
    candidate a kernel for the second stage.
    """
    outputs, inputs, _ = steps.shape
    whole = np.rint(steps)
    for o in range(outputs):
        left, candidate = np.zeros(inputs), np.zeros(inputs, dtype=int)
        for i in range(inputs):
            errors = whole[o, i] - steps[o, i]
            total = errors.sum()
            sign, number = np.sign(total), int(np.rint(abs(total)))
            order = np.argsort(-errors * sign, kind="stable")
            whole[o, i, order[:number]] -= sign
            left[i] = total - sign * number
            candidate[i] = order[number - 1] if number >= abs(total) and number else order[number]
        if inputs > 1:
            total = left.sum()
            sign, number = np.sign(total), int(np.rint(abs(total)))
            errors = [abs(whole[o, i, candidate[i]] - steps[o, i, candidate[i]]) for i in range(inputs)]
            possible = [i for i in range(inputs) if np.sign(left[i]) == sign]
            for i in sorted(possible, key=lambda i: -errors[i])[:number]:
                whole[o, i, candidate[i]] -= sign
    return whole


@pytest.mark.parametrize("shape", [(4, 6, 9), (8, 1, 9), (3, 40, 25), (2, 3, 4)])
def test_the_vectors_do_what_the_loops_do(shape: tuple[int, ...]) -> None:
    steps = np.random.default_rng(sum(shape)).uniform(-100, 100, shape)
    np.testing.assert_array_equal(rounded(steps, 127, "squant"), by_hand(steps))


OF_THE_REFERENCE = [
    ((3, 4, 3, 3), [4, 67, 86, 91, 107], [14, 25, 42, 62]),
    ((2, 24), [12, 43], []),
    ((4, 1, 3, 3), [28], [4]),
]
"""Shape, and which values are rounded up and down from the nearest integer. Made by clevercool/SQuant at 9cc77fc, torch
2.15: ``Quantizer(mode="squant", bit=8, …).adaptive_round(steps, -127, 127)``, in float32, on the steps below. On all
weights of a real resnet20 the integers are the same too (``python -m bench.references``)."""


@pytest.mark.parametrize(("shape", "up", "down"), OF_THE_REFERENCE)
def test_integers_are_those_of_the_authors_code(shape: tuple[int, ...], up: list[int], down: list[int]) -> None:
    steps = np.random.default_rng(sum(shape)).uniform(-100, 100, shape).astype(np.float32)
    moved = (rounded(steps, 127, "squant") - np.rint(steps)).ravel()
    assert (np.flatnonzero(moved == 1).tolist(), np.flatnonzero(moved == -1).tolist()) == (up, down)


@given(st.integers(0, 2**32 - 1), st.sampled_from([(3, 5, 3, 3), (4, 1, 3, 3), (5, 64), (2, 7, 1, 1), (1, 1)]))
def test_errors_of_each_kernel_and_output_cancel(seed: int, shape: tuple[int, ...]) -> None:
    steps = np.random.default_rng(seed).uniform(-126, 126, shape)
    errors = (rounded(steps, 127, "squant") - steps).reshape(shape[0], shape[1], -1)
    assert np.abs(errors).max() < 1 + 1e-9, "the neighbours below and above, no others"
    assert np.abs(errors.sum(axis=(1, 2))).max() <= 0.5 + 1e-9
    if errors.shape[2] > 1:
        assert np.abs(errors.sum(axis=2)).max() < 1 + 1e-9


def test_no_weight_leaves_its_limits() -> None:
    steps = np.full((2, 3, 3, 3), 62.6)
    steps[1] = -62.6
    found = rounded(steps, 63, "squant")
    assert np.abs(found).max() <= 63


def test_nearest_is_nearest() -> None:
    steps = np.random.default_rng(0).uniform(-126, 126, (3, 4, 9))
    np.testing.assert_array_equal(rounded(steps, 127, "nearest"), np.rint(steps))


def test_shifts_are_those_of_nncfs_fast_bias_correction() -> None:
    """A convolution of 1×1, seen by ``nncf.quantize`` 3.4.0: weights of 7 bits, as it wants them for the first layer.

    It shifted the biases by the numbers below. Where borders are padded, its shifts take in what they do: then it is
    ours that is what rounding really shifts (``python -m bench.references``).
    """
    random = np.random.default_rng(11)
    weight = random.standard_normal((8, 24, 1, 1)).astype(np.float32)
    inputs = np.random.default_rng(12).random((16, 24, 8, 8)) * np.arange(1, 25).reshape(24, 1, 1) / 8
    scales = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / np.float32(63.5)
    node = from_proto(
        parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[n, 24, 8, 8] x, float[8, 24, 1, 1] w) => (float[n, 8, 8, 8] y) { y = Conv(x, w) }""")
    ).graph[0]
    found = shift(node, np.rint(weight / scales) * scales - weight, 0, inputs.astype(np.float32).mean(axis=(0, 2, 3)))
    theirs = [0.0280801, -0.0404575, -0.0083961, 0.0682869, 0.0912786, -0.0306987, 0.0303736, 0.0486054]
    assert found is not None
    np.testing.assert_allclose(found, theirs, atol=3e-6)


@pytest.mark.parametrize(("groups", "weight"), [(1, (6, 4, 3, 3)), (4, (8, 1, 3, 3)), (2, (6, 2, 1, 1))])
def test_a_bias_takes_back_what_the_weights_error_does_to_the_mean(groups: int, weight: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    node = from_proto(
        parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        g (float[1, 4, 8, 8] x, float[{",".join(map(str, weight))}] w) => (float[a, b, c, d] y) {{
            y = Conv<group = {groups}>(x, w) }}""")
    ).graph[0]
    error = random.standard_normal(weight)
    means = random.standard_normal(weight[1] * groups)
    each = weight[0] // groups
    expected = [
        sum(error[o, i].sum() * means[o // each * weight[1] + i] for i in range(weight[1])) for o in range(weight[0])
    ]
    found = shift(node, error, 0, means)
    assert found is not None
    np.testing.assert_allclose(found, expected)
    assert shift(node, error, 0, means[:-1]) is None
