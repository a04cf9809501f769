"""A search claims what is not true as seldom as it promises, however many looks it takes."""

from __future__ import annotations

from math import sqrt

import pytest

from bench.looks import Case, true_claims, wrong_claims

SEARCHES = 300
UNLUCKY = 3 * sqrt(0.05 * 0.95 / SEARCHES)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_of_candidates_that_lose_just_too_much_no_more_are_claimed_than_is_allowed(most: int):
    wrong, each_alone, taken = wrong_claims(Case(samples=1000, limit=0.01, smooth=False, alike=0.0), most, SEARCHES)
    assert wrong <= 0.05 + UNLUCKY
    assert (each_alone > wrong) == (most > 1), "looks that each claim all of the confidence are wrong oftener"
    assert taken > 0.6 * most


def test_further_looks_prove_what_one_does_not():
    case = Case(samples=2500, limit=0.01, smooth=False, alike=0.5)
    (one, fastest), (more, still) = (true_claims(case, most, 100) for most in (1, 3))
    assert more > one + 0.05
    assert still >= fastest - 0.05
