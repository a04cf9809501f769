"""Bars stand where their numbers say."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enxuto.render.scale import bar, drop_scale, factor_scale, factor_ticks
from enxuto.steps import Estimate
from tests.support.reports import drop


def estimate(low: float, high: float) -> Estimate:
    return Estimate(value=(low + high) / 2, low=low, high=high, confidence=0.95)


def test_twice_as_fast_and_half_as_fast_stand_equally_far_from_one() -> None:
    scale = factor_scale([estimate(0.5, 2.0)], 0.03)
    one = scale.at(1.0)
    assert scale.at(2.0) - one == pytest.approx(one - scale.at(0.5), abs=0.01)


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=8))
def test_a_scale_holds_every_interval_and_always_one(values: list[float]) -> None:
    scale = factor_scale([estimate(value * 0.9, value * 1.1) for value in values], 0.03)
    assert 0 < scale.at(1.0) < 100
    for value in values:
        drawn = bar(scale, value, value * 0.9, value * 1.1)
        assert 0 <= drawn.low < drawn.value < drawn.high <= 100


@given(st.floats(0.01, 90), st.floats(1.01, 50))
def test_ticks_are_few_and_apart_and_one_is_among_them(low: float, ratio: float) -> None:
    ticks = factor_ticks(factor_scale([estimate(low, low * ratio)], 0.03))
    assert "1×" in [tick.label for tick in ticks]
    places = [tick.at for tick in ticks]
    assert len(places) <= 5
    assert all(after - before >= 15 for before, after in itertools.pairwise(places))


def test_a_loss_far_beyond_the_limit_is_drawn_at_the_edge_with_a_mark() -> None:
    drops = [drop(0.002), drop(0.58, 0.05)]
    scale = drop_scale(drops, 0.01)
    far = bar(scale, drops[1].value, drops[1].low, drops[1].high)
    near = bar(scale, drops[0].value, drops[0].low, drops[0].high)
    assert (far.high, far.cut_right) == (100.0, True)
    assert not near.cut_right
    assert near.high - near.low > 15, "small differences stay visible"


def test_without_a_limit_the_whole_loss_is_shown() -> None:
    one = drop(0.58, 0.05)
    drawn = bar(drop_scale([one], None), one.value, one.low, one.high)
    assert not drawn.cut_right
