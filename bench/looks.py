"""How often a search claims what is not true, of candidates that lose a little more than is allowed.

    python -m bench.looks [--searches 2000] [--samples 1000] [--limit 0.01] [--scores binary|smooth]

Each search has candidates of its own making. What they lose on the samples that choose settles which of them are looked
at, in which order and held to what; what they lose on the samples that prove decides. All candidates truly lose a
hundredth more than the limit, so that every claim is wrong. ``alike`` is the share of the samples lost that all
candidates lose together: where that is all of them, a further look says little new.

Prints the share of searches that claim something with at most one, two and three looks, beside what it would be were
each look held to the goal's confidence, as if it were alone. Then what further looks are for: of searches among three
candidates that lose nearly all that is allowed, half of it and next to nothing, how many prove one, and how many the
fastest. Exit status 1 where more is claimed than is allowed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from enxuto.goal import Goal, MaxDrop
from enxuto.judge.drop import paired_drop
from enxuto.report import Baseline, Candidate, Measurements, ModelRef
from enxuto.search.choose import best
from enxuto.search.looks import Look, Prospects, plan_looks
from enxuto.steps import Drop, Estimate
from enxuto.techniques import MagnitudePruning

CHOOSING, ACCURACY, MARGIN = 0.2, 0.9, 0.03
JUST_PAST = 1.01
"""Times the limit."""
SPEEDUPS = (2.6, 2.5, 2.4, 1.9, 1.5)
USEFUL = (0.75, 0.4, 0.05)
"""Shares of the limit that candidates lose, of which something true can be claimed; the fastest loses most."""
UNREST = 0.01
"""Share of samples on which a candidate differs from the original without losing any on the whole."""


@dataclass(frozen=True)
class Case:
    """How searches are made."""

    samples: int
    limit: float
    smooth: bool
    """Whether scores are numbers between 0 and 1, and not right or wrong."""
    alike: float

    @property
    def goal(self) -> Goal:
        return Goal(max_drop=MaxDrop(value=self.limit))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--limit", type=float, default=0.01)
    parser.add_argument("--scores", choices=["binary", "smooth"], default="binary")
    asked = parser.parse_args()
    exceeded = False
    print(f"{asked.searches} searches, {asked.samples} samples, {asked.scores} scores, limit {asked.limit:.3%}")
    print(f"{'alike':>6s} {'looks':>6s} {'taken':>6s} {'wrong':>8s} {'each alone':>11s}")
    for alike in (0.0, 0.5, 1.0):
        case = Case(asked.samples, asked.limit, asked.scores == "smooth", alike)
        for most in (1, 2, 3):
            wrong, naive, taken = wrong_claims(case, most, asked.searches)
            allowed = 0.05 + 3 * sqrt(0.05 * 0.95 / asked.searches)
            exceeded |= wrong > allowed
            print(f"{alike:6.1f} {most:6d} {taken:6.2f} {wrong:8.2%} {naive:11.2%}", flush=True)
    print(f"{'alike':>6s} {'looks':>6s} {'proven':>8s} {'fastest':>8s}")
    for most in (1, 2, 3):
        case = Case(asked.samples, asked.limit, asked.scores == "smooth", 0.5)
        some, fastest = true_claims(case, most, asked.searches)
        print(f"{0.5:6.1f} {most:6d} {some:8.2%} {fastest:8.2%}", flush=True)
    sys.exit(1 if exceeded else 0)


def wrong_claims(case: Case, most: int, searches: int) -> tuple[float, float, float]:
    """Shares of searches that claim something held to what was settled, and held to the goal's confidence at each look;
    and how many looks one settles on.
    """
    wrong = naive = taken = 0
    for seed in range(searches):
        scores = Scores(case, [JUST_PAST * case.limit] * len(SPEEDUPS), seed)
        looks = settle(case, scores, most)
        taken += len(looks)
        wrong += any(is_proven(case, scores, look, look.confidence) for look in looks)
        naive += any(is_proven(case, scores, look, 0.95) for look in looks)
    return wrong / searches, naive / searches, taken / searches


def true_claims(case: Case, most: int, searches: int) -> tuple[float, float]:
    some = fastest = 0
    for seed in range(searches):
        scores = Scores(case, [share * case.limit for share in USEFUL], seed)
        proven = (look for look in settle(case, scores, most) if is_proven(case, scores, look, look.confidence))
        if first := next(proven, None):
            some += 1
            fastest += first.candidate.name == "0"
    return some / searches, fastest / searches


class Scores:
    """Of the original and of candidates, on samples that choose and on samples that prove."""

    def __init__(self, case: Case, losses: Sequence[float], seed: int) -> None:
        draw = np.random.default_rng(seed)
        self._chosen = round(case.samples * CHOOSING)
        shape = (case.samples,)
        original = draw.random(shape) < ACCURACY
        shared_lost, shared_hit = draw.random(shape), draw.random(shape)
        tables = []
        for loss in losses:
            together = draw.random(shape) < case.alike
            lost = np.where(together, shared_lost, draw.random(shape))
            hit = np.where(together, shared_hit, draw.random(shape))
            worse = original & (lost < loss + UNREST)
            better = ~original & (hit < UNREST * ACCURACY / (1 - ACCURACY))
            tables.append((original & ~worse) | better)
        self._original, self._candidates = original.astype(float), [table.astype(float) for table in tables]
        if case.smooth:
            wobble = [draw.normal(0, 0.02, shape) for _ in tables]
            self._original = 0.9 * self._original + 0.05
            self._candidates = [
                0.9 * table + 0.05 + noise - noise.mean() for table, noise in zip(self._candidates, wobble, strict=True)
            ]

    def __len__(self) -> int:
        return len(self._candidates)

    def choosing(self, position: int) -> Drop:
        return self._drop(position, slice(None, self._chosen), 0.95)

    def proving(self, position: int, confidence: float) -> Drop:
        return self._drop(position, slice(self._chosen, None), confidence)

    def _drop(self, position: int, part: slice, confidence: float) -> Drop:
        return paired_drop(
            self._original[part], self._candidates[position][part],
            higher_is_better=True, relative=True, confidence=confidence, seed=0,
        )  # fmt: skip


def settle(case: Case, scores: Scores, most: int) -> list[Look]:
    """As a search does: what is rejected on the samples that choose is not looked at."""
    seen = [_candidate(position, scores.choosing(position)) for position in range(len(scores))]
    standing = [each for each in seen if each.selection.drop and each.selection.drop.value <= case.limit]
    confirming = case.samples - round(case.samples * CHOOSING)
    first = best(case.goal, standing, confirming, MARGIN)
    original = Baseline(model=ModelRef(sha256="f" * 64, size_bytes=1), selection=Measurements())
    return plan_looks(Prospects(case.goal, original, standing, confirming, MARGIN), first, most) if first else []


def is_proven(case: Case, scores: Scores, look: Look, confidence: float) -> bool:
    return scores.proving(int(look.candidate.name), confidence).high <= case.limit


def _candidate(position: int, drop: Drop) -> Candidate:
    """Of a recipe that no other is made by: those of one recipe are taken to be unlucky together."""
    speed = SPEEDUPS[position]
    return Candidate(
        name=str(position),
        recipe=[MagnitudePruning(ratio=(position + 1) / 10)],
        model=ModelRef(sha256=f"{position:064x}", size_bytes=1),
        outcome="feasible",
        selection=Measurements(
            drop=drop, samples=drop.samples, speedup=Estimate(value=speed, low=speed, high=speed, confidence=0.95)
        ),
    )


if __name__ == "__main__":
    main()
