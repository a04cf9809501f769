from __future__ import annotations

import numpy as np
import pytest

from enxuto.quantization.blocks import in_blocks, nearest, range_levels, rounded
from enxuto.quantization.hqq import NORM, half_quadratic, norm_of_errors, real_zeros, shrunken

OF_THE_REFERENCE = [
    (32, 0.023182570934, 0.0050609684549, 3.98606789e-05, 2955.77075),
    (128, 0.033072855323, 0.0083119468763, 1.015481321e-04, 747.22052),
]
"""Block size, mean of |error|^0.7, of |error| and of error², and the sum of zero points. Made by mobiusml/hqq's
``optimize_weights_proximal`` (its default, on the CPU, torch 2.13) on the matrix below, with the levels that its
``Quantizer.quantize`` starts from."""


def weights(block_size: int) -> np.ndarray:
    random = np.random.default_rng(7)
    return in_blocks((random.standard_t(4, (48, 256)) * 0.05).astype(np.float32), block_size)


def paper(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integers, zero points and scales: the paper's loop, with real zero points, made of our two steps."""
    low, high = values.min(axis=-1, keepdims=True), values.max(axis=-1, keepdims=True)
    scales = (high - low) / np.float32(15)
    zeros, beta, least = -low / scales, 10.0, np.inf
    for _ in range(20):
        integers = np.rint(values / scales + zeros).clip(0, 15)
        real = (integers - zeros) * scales
        zeros = real_zeros(integers, values - shrunken(values - real, beta), scales)
        beta *= 1.01
        error = np.abs(values - real).mean()
        if error >= least:
            break
        least = error
    return np.rint(values / scales + zeros).clip(0, 15), zeros, scales


@pytest.mark.parametrize(("block_size", "norm", "absolute", "squared", "zero_points"), OF_THE_REFERENCE)
def test_the_two_steps_are_those_of_the_reference(
    block_size: int, norm: float, absolute: float, squared: float, zero_points: float
) -> None:
    values = weights(block_size)
    integers, zeros, scales = paper(values)
    errors = np.abs(values - (integers - zeros) * scales)
    found = [np.power(errors, NORM).mean(), errors.mean(), np.square(errors).mean(), zeros.sum()]
    np.testing.assert_allclose(found, [norm, absolute, squared, zero_points], rtol=1e-4)


@pytest.mark.parametrize("block_size", [32, 128])
def test_no_block_loses_more_than_by_rounding_and_all_together_less(block_size: int) -> None:
    values = weights(block_size)
    ours = norm_of_errors(values, half_quadratic(values, 4).real())
    clipped = norm_of_errors(values, nearest(values, 4, symmetric=False).real())
    plain = norm_of_errors(values, rounded(values, *range_levels(values, 4), 4).real())
    assert np.all(ours <= clipped)
    assert ours.sum() < clipped.sum()
    assert ours.sum() < 0.97 * plain.sum()


def test_rounding_the_papers_zero_points_gives_its_gain_back() -> None:
    values = weights(32)
    _, zeros, scales = paper(values)
    whole = norm_of_errors(values, rounded(values, scales, np.rint(zeros).clip(0, 15), 4).real()).sum()
    ours = norm_of_errors(values, half_quadratic(values, 4).real()).sum()
    assert ours < 0.98 * whole


def test_blocks_of_zeros_and_of_one_sign_are_fine() -> None:
    values = np.stack([np.zeros(16), np.full(16, 0.5), np.linspace(0.4, 0.5, 16)]).astype(np.float32)[:, None]
    real = half_quadratic(values, 4).real()
    np.testing.assert_array_equal(real[0], 0)
    np.testing.assert_allclose(real[1], 0.5, rtol=1e-3)
    assert np.abs(real[2] - values[2]).max() < 0.06
