"""Outputs are held against the original's: signal to noise, cosine, agreement."""

import numpy as np
import pytest

from enxuto.judge.fidelity import FidelityMeter
from enxuto.steps import Fidelity

ORIGINAL = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)


def compare(output: np.ndarray, original: np.ndarray = ORIGINAL, batch: int = 40) -> Fidelity:
    meter = FidelityMeter()
    for start in range(0, len(output), batch):
        meter.add(output[start : start + batch], original[start : start + batch])
        meter.add_choices(output[start : start + batch], original[start : start + batch])
    return meter.result()


def test_equal_outputs_have_no_noise() -> None:
    found = compare(ORIGINAL.copy())
    assert (found.sqnr_db, found.agreement, found.nonfinite) == (None, 1.0, 0)
    assert found.cosine == pytest.approx(1.0)


def test_noise_of_a_tenth_of_the_signal_is_twenty_decibels() -> None:
    found = compare(ORIGINAL * np.float32(1.1))
    assert found.sqnr_db == pytest.approx(20, abs=1e-4)
    assert found.cosine == pytest.approx(1.0)
    assert found.agreement == 1.0


def test_signal_to_noise_is_that_of_pytorch_over_all_elements() -> None:
    """``torch.ao.ns.fx.utils.compute_sqnr`` of torch 2.15 on these arrays."""
    random = np.random.default_rng(5)
    original = random.uniform(0, 1, (6, 3, 8, 8)).astype(np.float32)
    output = (original + random.normal(0, 0.05, original.shape)).astype(np.float32)
    assert compare(output, original, batch=6).sqnr_db == pytest.approx(21.1037636, abs=1e-5)


def test_batches_do_not_change_what_is_found() -> None:
    output = ORIGINAL + np.random.default_rng(1).standard_normal(ORIGINAL.shape).astype(np.float32)
    whole, parts = compare(output), compare(output, batch=7)
    assert parts.sqnr_db == pytest.approx(whole.sqnr_db)
    assert (parts.cosine, parts.agreement) == (pytest.approx(whole.cosine), whole.agreement)


def test_opposite_outputs_have_a_cosine_of_minus_one() -> None:
    assert compare(-ORIGINAL).cosine == pytest.approx(-1.0)


def test_agreement_is_the_share_of_equal_choices() -> None:
    output = ORIGINAL.copy()
    output[:10] = np.roll(output[:10], 1, axis=1)
    assert compare(output).agreement == pytest.approx(0.75)


def test_outputs_that_choose_nothing_have_no_agreement() -> None:
    assert compare(ORIGINAL[:, :1] * 2, ORIGINAL[:, :1]).agreement is None


def test_elements_that_are_no_longer_numbers_are_counted_and_lose_their_signal() -> None:
    output = ORIGINAL.copy()
    output[0] = np.nan
    found = compare(output)
    lost, signal = float((ORIGINAL[0] ** 2).sum()), float((ORIGINAL**2).sum())
    assert found.nonfinite == 5
    assert found.sqnr_db == pytest.approx(10 * np.log10(signal / lost), abs=1e-3)
    assert found.agreement == pytest.approx(39 / 40)


def test_masks_of_the_original_are_left_out() -> None:
    original = ORIGINAL.copy()
    original[:, 0] = -np.inf
    noisy = original * np.float32(1.1)
    assert compare(original.copy(), original).sqnr_db is None
    assert compare(noisy, original).sqnr_db == pytest.approx(20, abs=1e-4)
    assert compare(noisy, original).nonfinite == 0


def test_an_original_of_zeros_leaves_only_noise() -> None:
    found = compare(ORIGINAL, np.zeros_like(ORIGINAL))
    assert (found.sqnr_db, found.cosine) == (-400, 0)
