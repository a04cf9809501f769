"""The loss against the baseline carries bounds that hold as often as they say."""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from enxuto.errors import BadInput
from enxuto.judge import bounds
from enxuto.judge.drop import mcnemar, paired_drop
from enxuto.judge.paired_score import lower_bound, upper_bound
from enxuto.steps import Drop


def drop(
    baseline: list[float] | np.ndarray,
    candidate: list[float] | np.ndarray,
    *,
    higher_is_better: bool = True,
    relative: bool = False,
    confidence: float = 0.95,
    seed: int = 0,
) -> Drop:
    return paired_drop(
        np.asarray(baseline, dtype=np.float64),
        np.asarray(candidate, dtype=np.float64),
        higher_is_better=higher_is_better,
        relative=relative,
        confidence=confidence,
        seed=seed,
    )


def right_and_wrong(both: int, worse: int, better: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    baseline = np.repeat([1.0, 1.0, 0.0, 0.0], [both, worse, better, neither])
    candidate = np.repeat([1.0, 0.0, 1.0, 0.0], [both, worse, better, neither])
    return baseline, candidate


def test_the_score_interval_is_the_published_one() -> None:
    """Fagerland, Lydersen and Laake (2014): hyper-responsive airways before and after transplantation, 1, 1, 7, 12."""
    assert lower_bound(1, 7, 21, 0.975) == pytest.approx(-0.517, abs=5e-4)
    assert upper_bound(1, 7, 21, 0.975) == pytest.approx(-0.026, abs=5e-4)


def test_the_score_interval_is_that_of_the_r_package_propcis() -> None:
    """``scoreci.mp(25, 28, 618, 0.9)`` is −0.0148 to 0.0247."""
    assert lower_bound(28, 25, 618, 0.95) == pytest.approx(-0.0148, abs=5e-5)
    assert upper_bound(28, 25, 618, 0.95) == pytest.approx(0.0247, abs=5e-5)


@pytest.mark.parametrize(("worse", "better", "samples"), [(0, 0, 50), (1, 0, 100), (0, 3, 80), (40, 10, 50), (7, 7, 7)])
def test_score_bounds_hold_the_estimate_and_stay_within_one(worse: int, better: int, samples: int) -> None:
    low, high = lower_bound(worse, better, samples, 0.95), upper_bound(worse, better, samples, 0.95)
    assert -1 <= low <= (worse - better) / samples <= high <= 1


def test_without_a_difference_the_upper_bound_is_z_squared_over_n_plus_z_squared() -> None:
    z_squared = 1.6448536269514722**2
    assert upper_bound(0, 0, 100, 0.95) == pytest.approx(z_squared / (100 + z_squared))


@pytest.mark.parametrize(
    ("samples", "lost", "won"),
    [(100, 0.01, 0.01), (300, 0.005, 0.005), (300, 0.02, 0.01), (900, 0.01, 0.0), (900, 0.03, 0.02)],
)
def test_score_bounds_cover_with_few_discordant_samples(samples: int, lost: float, won: float) -> None:
    draws = np.random.default_rng(5).multinomial(samples, [lost, won, 1 - lost - won], 4000)
    bound = cache(lambda worse, better: upper_bound(worse, better, samples, 0.95))
    covered = np.mean([bound(int(worse), int(better)) >= lost - won for worse, better, _ in draws])
    assert covered >= 0.935


def test_a_relative_bound_of_right_and_wrong_covers_too() -> None:
    lost, won, right = 0.012, 0.005, 0.688
    bound = cache(lambda worse, better: upper_bound(worse, better, 400, 0.95))
    draws = np.random.default_rng(6).multinomial(400, [lost, won, right, 1 - lost - won - right], 4000)
    covered = np.mean(
        [bound(int(w), int(b)) / ((w + r) / 400) >= (lost - won) / (lost + right) for w, b, r, _ in draws]
    )
    assert covered >= 0.935


def test_right_and_wrong_is_judged_by_the_score_interval() -> None:
    found = drop(*right_and_wrong(900, 12, 5, 83))
    assert (found.method, found.worse, found.better, found.samples) == ("paired_score", 12, 5, 1000)
    assert found.value == pytest.approx(0.007)
    assert found.high == pytest.approx(upper_bound(12, 5, 1000, 0.95))


@pytest.mark.parametrize(("worse", "better"), [(0, 0), (1, 0), (0, 9), (12, 5), (5, 12), (40, 40), (300, 230)])
def test_the_p_value_is_that_of_the_exact_two_sided_binomial_test(worse: int, better: int) -> None:
    found = drop(*right_and_wrong(900, worse, better, 83))
    expected = stats.binomtest(worse, worse + better, 0.5).pvalue if worse + better else 1.0
    assert found.p_value == pytest.approx(expected, rel=1e-9)


def test_the_p_value_is_the_published_one() -> None:
    """Fagerland, Lydersen and Laake (2013), the same airways: exact conditional McNemar test, P = 0.070."""
    assert mcnemar(1, 7) == pytest.approx(0.0703, abs=5e-5)


def test_scores_that_are_no_right_or_wrong_have_no_p_value() -> None:
    scores = np.linspace(0.1, 0.9, 50)
    assert drop(scores, scores * 0.9).p_value is None
    assert drop(scores, scores).p_value is None


def test_a_relative_drop_is_a_share_of_the_baselines_metric() -> None:
    absolute, relative = (drop(*right_and_wrong(700, 12, 5, 283), relative=share) for share in (False, True))
    assert relative.value == pytest.approx(absolute.value / 0.712)
    assert relative.high == pytest.approx(absolute.high / 0.712)


def test_more_error_is_a_drop_where_lower_is_better() -> None:
    errors = np.random.default_rng(0).random(50)
    assert drop(errors, errors * 1.1, higher_is_better=False, relative=True).value == pytest.approx(0.1)
    assert drop(errors, errors * 1.1, higher_is_better=True, relative=True).value == pytest.approx(-0.1)


@pytest.mark.parametrize("scores", [right_and_wrong(900, 12, 5, 83), tuple(np.random.default_rng(0).random((2, 90)))])
@pytest.mark.parametrize("relative", [False, True])
def test_at_even_odds_both_bounds_are_the_point_estimate(scores: tuple[np.ndarray, np.ndarray], relative: bool) -> None:
    found = drop(*scores, relative=relative, confidence=0.5)
    assert found.low == pytest.approx(found.value)
    assert found.high == pytest.approx(found.value)


def long_tailed(draw: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(count), 1 - draw.lognormal(-5, 1.2, count)


def in_tenths(draw: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    before = draw.binomial(10, 0.7, count) / 10
    return before, before - draw.choice([-0.1, 0, 0, 0, 0.2], count)


@pytest.mark.parametrize("scores", [long_tailed, in_tenths])
@pytest.mark.parametrize("relative", [False, True])
def test_bootstrap_bounds_cover(scores, relative: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enxuto.judge.drop.RESAMPLES", 600)
    draw = np.random.default_rng(3)
    before, after = scores(draw, 1_000_000)
    truth = (before - after).mean() / (before.mean() if relative else 1)
    found = [drop(*scores(draw, 120), relative=relative, seed=seed) for seed in range(300)]
    assert {each.method for each in found} == {"paired_bootstrap"}
    assert np.mean([each.high >= truth for each in found]) >= 0.91
    assert np.mean([each.low <= truth for each in found]) >= 0.91


def test_the_same_seed_gives_the_same_bounds() -> None:
    before, after = np.random.default_rng(0).random((2, 200))
    assert drop(before, after, seed=4) == drop(before, after, seed=4)
    assert drop(before, after, seed=4) != drop(before, after, seed=5)


def test_few_samples_without_a_difference_prove_nothing() -> None:
    scores = np.full(20, 0.7)
    assert drop(scores, scores).high > 0.1


def test_errors_that_are_equal_to_the_bit_have_no_interval() -> None:
    errors = np.random.default_rng(0).random(20)
    found = drop(errors, errors, higher_is_better=False, relative=True)
    assert (found.low, found.value, found.high) == (0, 0, 0)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_a_handful_of_samples_still_has_bounds_around_the_value(count: int) -> None:
    before, after = np.random.default_rng(1).random((2, count))
    found = drop(before, after)
    assert found.low < found.value < found.high


def test_one_sample_is_too_few() -> None:
    with pytest.raises(BadInput) as refused:
        drop([1.0], [0.0])
    assert refused.value.code == "too_few_samples"


def test_a_share_of_nothing_is_refused_with_a_way_out() -> None:
    with pytest.raises(BadInput) as refused:
        drop([0.0, 0.0, 0.0], [0.0, 1.0, 0.0], relative=True)
    assert refused.value.code == "metric_is_zero"
    assert "relative" in refused.value.hint
    assert drop([0.0, 0.0, 0.0], [0.0, 1.0, 0.0]).value == pytest.approx(-1 / 3)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_without_widening_bounds_are_scipys_bias_corrected_and_accelerated_ones(
    confidence: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "expanded_level", lambda level, _: 1 - level)
    loss = np.random.default_rng(4).gamma(0.7, 1, 60)
    theirs = stats.bootstrap(
        (loss,),
        np.mean,
        method="BCa",
        confidence_level=2 * confidence - 1,
        n_resamples=999,
        rng=np.random.default_rng(8),
    )
    drops = np.sort(theirs.bootstrap_distribution)
    value, influence = float(loss.mean()), loss - loss.mean()
    upper = np.quantile(drops, bounds.resampled_level(drops, value, influence, confidence, len(loss)))
    lower = -np.quantile(-drops, bounds.resampled_level(np.sort(-drops), -value, -influence, confidence, len(loss)))
    np.testing.assert_allclose([lower, upper], theirs.confidence_interval, rtol=1e-9)
