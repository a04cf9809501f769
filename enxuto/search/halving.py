"""Successive halving: a cheap look at all that is left, then more and more at less and less.

Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", 2016: with the same
effort spent on each round, the fewer are left, the more each gets. Here a first look is a few samples and two loads of
a few rounds; half of what passes is evaluated on all samples that choose and timed over more loads.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

from enxuto.goal import Goal
from enxuto.search.costs import affords, timing_s
from enxuto.search.measured import measure, time_candidates
from enxuto.search.plan import Reply, Task
from enxuto.search.sieve import FEWEST_KEPT, bring_back, reject, set_aside_worse
from enxuto.search.timing import SCREENING, TUNING, Effort
from enxuto.search.trial import LATE, Trials
from enxuto.search.trying import evaluate, make_again
from enxuto.search.tune import beside_what_leads

LOOK: Effort = replace(SCREENING, first_load=250, least=2, most=2, rounds=6, budget_s=30.0)


def look_at_speed(trials: Trials, goal: Goal, begin: float, share: float) -> Generator[Task, Reply, None]:
    """Time what is left briefly, where that is more than can be timed well, and set the worse half aside."""
    contenders = trials.alive()
    if goal.objective == "memory" or len(contenders) <= FEWEST_KEPT:
        return
    if goal.objective != "size":
        if not affords(trials, timing_s(trials, len(contenders), LOOK)):
            return
        yield from time_candidates(trials, contenders, LOOK, begin, share)
    set_aside_worse(trials, goal)


def look_closer(trials: Trials, goal: Goal, begin: float, share: float) -> Generator[Task, Reply, None]:
    """Evaluate and time what is left; where nothing of it stands, what was set aside comes back."""
    while True:
        yield from make_again(trials, trials.alive())
        yield from _evaluate_left(trials, begin, share / 2)
        reject(trials, goal, surely=True)
        yield from measure(trials, goal, trials.judged(), SCREENING, begin + share / 2, share / 2)
        if trials.alive() or trials.cut_short or not bring_back(trials, goal):
            return


def look_at_new(
    trials: Trials, goal: Goal, new: Sequence[str], begin: float, share: float
) -> Generator[Task, Reply, None]:
    """Evaluate candidates that came late, and time those that stand beside what leads."""
    yield from _evaluate_left(trials, begin, share / 2)
    reject(trials, goal, surely=True)
    together = beside_what_leads(trials, goal, new)
    yield from make_again(trials, together)
    standing = [each for each in together if trials.named(each.name).outcome == "feasible"]
    if standing:
        yield from measure(trials, goal, standing, TUNING, begin + share / 2, share / 2)


def look_at_rejected(trials: Trials, goal: Goal, fraction: float) -> Generator[Task, Reply, None]:
    """Where nothing is left: measure what else is limited of those that lost least, which were rejected unmeasured, so
    that it can be told which constraint stands in the way.
    """
    if trials.alive() or not (goal.p95_ms or goal.memory_mb):
        return
    rejected = [each for each in trials.candidates if each.outcome == "infeasible" and each.model]
    unmeasured = [each for each in rejected if each.selection.latency is None]
    unmeasured.sort(key=lambda each: each.selection.drop.value if each.selection.drop else 0.0)
    nearest = unmeasured[:FEWEST_KEPT]
    if nearest and affords(trials, timing_s(trials, len(nearest), SCREENING)):
        yield from make_again(trials, nearest)
        there = [each for each in nearest if trials.named(each.name).model]
        yield from measure(trials, goal, there, SCREENING, fraction, 0.0)


def _evaluate_left(trials: Trials, begin: float, share: float) -> Generator[Task, Reply, None]:
    left = [candidate for candidate in trials.alive() if not trials.is_judged(candidate)]
    for position, candidate in enumerate(left):
        if trials.judged() and not affords(trials, trials.spent_evaluating_s):
            trials.skip(candidate, LATE)
            trials.cut_short = True
        else:
            yield from evaluate(trials, candidate, begin + share * position / len(left))
