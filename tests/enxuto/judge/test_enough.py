"""How many samples would decide is said, or that none would."""

import numpy as np
import pytest

from enxuto.judge.drop import paired_drop
from enxuto.judge.enough import samples_to_decide
from enxuto.judge.paired_score import upper_bound
from enxuto.steps import Drop


def counted(worse: int, better: int, samples: int, *, right: int | None = None) -> Drop:
    right = samples - better if right is None else right
    parts = [right - worse, worse, better, samples - right - better]
    before, after = np.repeat([1.0, 1.0, 0.0, 0.0], parts), np.repeat([1.0, 0.0, 1.0, 0.0], parts)
    return paired_drop(before, after, higher_is_better=True, relative=True, confidence=0.95, seed=0)


def test_what_is_proven_needs_no_more() -> None:
    assert samples_to_decide(counted(0, 0, 900), 0.01) == 900


def test_a_drop_beyond_the_limit_is_not_helped_by_more_samples() -> None:
    assert samples_to_decide(counted(20, 0, 1000), 0.01) is None


def test_a_drop_at_the_limit_is_not_helped_either() -> None:
    assert samples_to_decide(counted(10, 0, 1000), 0.01) is None


@pytest.mark.parametrize(("worse", "better", "samples", "right"), [(5, 1, 600, 590), (0, 0, 100, 90), (2, 2, 200, 120)])
def test_that_many_samples_prove_it_and_one_less_does_not(worse: int, better: int, samples: int, right: int) -> None:
    drop = counted(worse, better, samples, right=right)
    needed = samples_to_decide(drop, 0.01)
    assert needed is not None
    assert needed > samples

    def bound(count: int) -> float:
        share = count / samples
        return upper_bound(worse * share, better * share, count, 0.95) / (right / samples)

    assert bound(needed) <= 0.01 < bound(needed - 1)


def test_a_bootstrap_bound_nears_the_value_with_the_root_of_the_samples() -> None:
    drop = Drop(
        value=0.004,
        low=-0.008,
        high=0.016,
        confidence=0.95,
        relative=True,
        method="paired_bootstrap",
        samples=100,
        worse=50,
        better=50,
    )
    assert samples_to_decide(drop, 0.01) == 400


def test_a_drop_just_below_the_limit_would_take_more_samples_than_there_are() -> None:
    assert samples_to_decide(counted(10, 0, 1000), 0.01 + 1e-9) is None
