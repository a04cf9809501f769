"""The drop of a metric that is no mean carries bounds that hold as often as they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from enxuto.errors import BadInput
from enxuto.judge import resampled
from enxuto.judge.drop import paired_drop
from enxuto.judge.ranks import RankCorrelation
from enxuto.judge.resampled import resampled_drop
from enxuto.judge.summary import Decibels, ExponentialOfMean, Mean, Summary, value_of
from enxuto.steps import Drop

Pair = tuple[Summary, Summary]


def drop(
    before: Summary, after: Summary, *, higher_is_better: bool = True, relative: bool = True, confidence: float = 0.95
) -> Drop:
    return resampled_drop(
        before, after, higher_is_better=higher_is_better, relative=relative, confidence=confidence, seed=0
    )


def ranked(draw: np.random.Generator, count: int) -> Pair:
    labels = np.round(draw.random(count) * 5, 1)
    before = 0.12 * labels + 0.25 * draw.standard_normal(count)
    after = before + 0.05 * draw.standard_normal(count) * (draw.random(count) < 0.5)
    return RankCorrelation(np.column_stack([before, labels])), RankCorrelation(np.column_stack([after, labels]))


def perplexities(draw: np.random.Generator, count: int) -> Pair:
    positions = draw.integers(5, 130, count).astype(np.float64)
    before = positions * draw.gamma(4, 0.5, count)
    after = before * (1.003 + 0.02 * draw.standard_normal(count))
    both = [ExponentialOfMean(np.column_stack([losses, positions])) for losses in (before, after)]
    return both[0], both[1]


def pictures(draw: np.random.Generator, count: int) -> Pair:
    errors = draw.lognormal(-7, 1, count)
    return Decibels(errors, 100), Decibels(errors * (1 + 0.05 * draw.random(count)), 100)


@pytest.mark.parametrize(("make", "higher"), [(ranked, True), (perplexities, False), (pictures, True)])
def test_bounds_cover(
    make: Callable[[np.random.Generator, int], Pair], higher: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resampled, "RESAMPLES", 500)
    draw = np.random.default_rng(0)
    before, after = (value_of(one) for one in make(draw, 300_000))
    truth = (before - after) / before if higher else (after - before) / before
    found = [drop(*make(draw, 80), higher_is_better=higher) for _ in range(150)]
    assert np.mean([each.high >= truth for each in found]) >= 0.89
    assert np.mean([each.low <= truth for each in found]) >= 0.89


def test_of_a_mean_it_is_what_the_drop_of_means_is() -> None:
    """The two draw in other orders, so that they agree up to what 4,000 draws tell."""
    before, after = np.random.default_rng(1).gamma(3, 1, (2, 200))
    plain = paired_drop(before, after, higher_is_better=True, relative=True, confidence=0.95, seed=0)
    found = drop(Mean(before), Mean(after))
    assert found.value == pytest.approx(plain.value)
    assert found.high - found.value == pytest.approx(plain.high - plain.value, rel=0.05)
    assert found.value - found.low == pytest.approx(plain.value - plain.low, rel=0.05)


def test_an_absolute_drop_is_in_the_metrics_own_unit() -> None:
    before, after = pictures(np.random.default_rng(0), 60)
    found = drop(before, after, relative=False)
    assert found.value == pytest.approx(value_of(before) - value_of(after))
    assert found.low < found.value < found.high


def test_rows_of_a_pair_are_counted_both() -> None:
    before, after = ranked(np.random.default_rng(0), 50)
    found = resampled_drop(before, after, higher_is_better=True, relative=True, confidence=0.95, seed=0, rows_a_unit=2)
    assert found.samples == 100
    assert found.worse % 2 == found.better % 2 == 0
    assert (found.method, found.resamples) == ("paired_bootstrap", 4000)


def test_at_even_odds_both_bounds_are_the_point_estimate() -> None:
    found = drop(*ranked(np.random.default_rng(0), 50), confidence=0.5)
    assert found.low == found.value == found.high


def test_a_model_that_gives_the_same_for_all_lost_everything() -> None:
    before, _ = ranked(np.random.default_rng(0), 50)
    labels = np.round(np.random.default_rng(0).random(50) * 5, 1)
    found = drop(before, RankCorrelation(np.column_stack([np.zeros(50), labels])))
    assert found.value == 1
    assert found.high >= found.value >= found.low


def test_a_baseline_that_ranks_the_wrong_way_round_has_no_share() -> None:
    units = np.column_stack([-np.arange(20.0), np.arange(20.0)])
    with pytest.raises(BadInput) as refused:
        drop(RankCorrelation(units), RankCorrelation(units))
    assert refused.value.code == "metric_is_zero"
    assert drop(RankCorrelation(units), RankCorrelation(units), relative=False).value == 0


@pytest.mark.parametrize("count", [4, 5, 6, 9])
def test_a_handful_of_pairs_has_finite_bounds(count: int) -> None:
    found = drop(*ranked(np.random.default_rng(3), count), relative=False)
    assert found.low <= found.value <= found.high


def test_three_pairs_are_too_few() -> None:
    with pytest.raises(BadInput) as refused:
        drop(*ranked(np.random.default_rng(0), 3))
    assert refused.value.code == "too_few_samples"


def test_what_costs_much_is_drawn_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampled, "_MOST_WORK", 1 << 16)
    assert drop(*ranked(np.random.default_rng(0), 50)).resamples == 500
