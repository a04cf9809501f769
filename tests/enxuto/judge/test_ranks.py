"""Rank correlations are those of SciPy, of any weighting of the pairs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from enxuto.judge.ranks import RankCorrelation
from enxuto.judge.summary import value_of


def pairs(count: int, decimals: int, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    labels = np.round(draw.random(count) * 5, decimals)
    return np.column_stack([np.round(labels + draw.standard_normal(count), decimals), labels])


@pytest.mark.parametrize("decimals", [0, 1, 8])
@pytest.mark.parametrize("count", [4, 50, 700])
def test_it_is_scipys_with_ties_and_without(count: int, decimals: int) -> None:
    units = pairs(count, decimals)
    expected = stats.spearmanr(units[:, 0], units[:, 1]).statistic
    assert value_of(RankCorrelation(units)) == pytest.approx(expected, rel=1e-12)


def test_a_weight_is_how_often_a_pair_stands_in_the_sample() -> None:
    units, draw = pairs(60, 1), np.random.default_rng(1)
    picked = draw.integers(0, 60, (20, 60))
    weights = np.stack([np.bincount(one, minlength=60) for one in picked]).astype(np.float64)
    expected = [stats.spearmanr(*units[one].T).statistic for one in picked]
    np.testing.assert_allclose(RankCorrelation(units).at(weights), expected, rtol=1e-10)


def test_what_a_pair_adds_is_the_correlation_in_the_mean() -> None:
    summary = RankCorrelation(pairs(200, 8))
    assert summary.each().mean() == pytest.approx(value_of(summary), rel=1e-9)


def test_the_same_number_for_all_has_no_correlation() -> None:
    units = pairs(20, 1)
    units[:, 0] = 0.5
    assert np.isnan(value_of(RankCorrelation(units)))


def test_labels_that_two_models_share_are_ranked_for_each_weighting() -> None:
    """The ranks of labels are kept between two calls, and must not outlive their weights."""
    units, draw = pairs(30, 1), np.random.default_rng(2)
    summary = RankCorrelation(units)
    for _ in range(3):
        weights = draw.multinomial(30, np.full(30, 1 / 30), 4).astype(np.float64)
        expected = [stats.spearmanr(*np.repeat(units, row.astype(int), axis=0).T).statistic for row in weights]
        np.testing.assert_allclose(summary.at(weights), expected, rtol=1e-10)
