"""A speedup is judged over fresh loads, and only outside the margin."""

import random
import statistics

import pytest
from scipy import stats

from enxuto.judge.speed import speed_verdict, speedup
from enxuto.judge.student import expanded_level, t_quantile
from enxuto.steps import Estimate


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 10, 31])
@pytest.mark.parametrize("probability", [0.6, 0.95, 0.975, 0.999, 0.025])
def test_t_quantiles_are_those_of_scipy(probability: float, freedom: int) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-9)


def test_the_tail_cut_off_nears_the_plain_one_as_values_become_many() -> None:
    assert expanded_level(0.975, 5) < expanded_level(0.975, 10) < 0.025
    assert expanded_level(0.975, 2000) == pytest.approx(0.025, abs=1e-4)


def test_the_value_is_the_geometric_mean_so_that_swapping_the_models_gives_the_reciprocal() -> None:
    ratios = [2.2, 2.21, 1.8, 2.25, 2.23, 1.9]
    there, back = speedup(ratios), speedup([1 / ratio for ratio in ratios])
    assert there.value == pytest.approx(statistics.geometric_mean(ratios))
    assert back.value == pytest.approx(1 / there.value)
    assert back.low == pytest.approx(1 / there.high, rel=0.01)


def test_the_same_loads_give_the_same_interval() -> None:
    ratios = [1.2, 1.25, 1.31, 1.22, 1.27]
    assert speedup(ratios, seed=7) == speedup(ratios, seed=7)


def test_equal_loads_give_an_interval_without_width() -> None:
    estimate = speedup([1.0] * 6)
    assert (estimate.low, estimate.value, estimate.high) == (1.0, 1.0, 1.0)


def test_few_loads_give_a_wider_interval_than_many_of_the_same_spread() -> None:
    narrow, wide = speedup([1.0, 1.02] * 6), speedup([1.0, 1.02])
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


@pytest.mark.parametrize("loads", [2, 3, 5, 7, 10])
def test_intervals_cover_the_truth_about_as_often_as_they_say(loads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enxuto.judge.speed.RESAMPLES", 1500)
    draw = random.Random(11)  # noqa: S311 - a simulation
    estimates = [speedup([draw.lognormvariate(0, 0.013) for _ in range(loads)], seed=0) for _ in range(300)]
    covered = sum(estimate.low <= 1 <= estimate.high for estimate in estimates) / len(estimates)
    assert 0.89 <= covered <= 0.99


@pytest.mark.parametrize("loads", [5, 6])
def test_what_is_held_to_more_is_wrong_as_seldom_as_it_says(loads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resampled means stay within the range of the loads, and five lie to one side of the truth 6 % of the time."""
    monkeypatch.setattr("enxuto.judge.speed.RESAMPLES", 500)
    draw = random.Random(11)  # noqa: S311 - a simulation
    estimates = [speedup([draw.lognormvariate(0, 0.013) for _ in range(loads)], confidence=0.99) for _ in range(500)]
    assert sum(not estimate.low <= 1 <= estimate.high for estimate in estimates) <= 0.02 * len(estimates)


def test_one_load_carries_no_interval() -> None:
    with pytest.raises(ValueError, match="at least two"):
        speedup([1.2])


def test_a_ratio_that_is_no_ratio_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        speedup([1.2, 0.0])


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.04, 1.5, "improved"),
        (1.02, 1.5, "inconclusive"),
        (0.98, 1.02, "no_gain"),
        (0.9, 1.01, "inconclusive"),
        (0.5, 0.96, "regressed"),
        (0.5, 2.0, "inconclusive"),
    ],
)
def test_a_verdict_takes_the_whole_interval_to_one_side_of_the_margin(low: float, high: float, verdict: str) -> None:
    estimate = Estimate(value=(low * high) ** 0.5, low=low, high=high, confidence=0.95)
    assert speed_verdict(estimate, 0.03) == verdict


def test_a_wider_margin_asks_for_more() -> None:
    estimate = Estimate(value=1.1, low=1.08, high=1.12, confidence=0.95)
    assert (speed_verdict(estimate, 0.03), speed_verdict(estimate, 0.15)) == ("improved", "no_gain")
