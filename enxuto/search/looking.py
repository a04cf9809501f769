"""From what a search knows to the looks that it takes at samples which chose nothing."""

from __future__ import annotations

from collections.abc import Collection

from enxuto.goal import Goal
from enxuto.report import Candidate
from enxuto.search.choose import best
from enxuto.search.costs import look_s
from enxuto.search.looks import MOST_LOOKS, Look, Prospects, plan_looks
from enxuto.search.splits import count
from enxuto.search.trial import Looked, Trials


def chosen(trials: Trials, goal: Goal, without: Collection[str] = ()) -> Candidate | None:
    """The candidate to confirm first, where there is one."""
    candidates = [each for each in trials.judged() if each.name not in without]
    return best(goal, candidates, count(trials.splits.confirmation), trials.request.margin)


def settled_looks(trials: Trials, goal: Goal, first: Candidate) -> list[Look]:
    """As many as there is time for."""
    confirming, left = count(trials.splits.confirmation), trials.meter.remaining_s
    prospects = Prospects(goal, trials.original, trials.judged(), confirming, trials.request.margin)
    most = MOST_LOOKS if left is None else min(MOST_LOOKS, int(left / look_s(trials)))
    return plan_looks(prospects, first, most)


def known_look(trials: Trials, look: Look) -> Looked | None:
    """What an earlier search saw of the candidate, held to at least as much; it is judged anew, by this goal."""
    seen = look.candidate.confirmation
    if seen is None or trials.original.confirmation is None:
        return None
    earlier = next((each for each in trials.known if each.candidate == look.candidate.name), None)
    bounds = [each.confidence for each in (seen.drop, seen.speedup) if each]
    if min(bounds, default=look.confidence) < look.confidence:
        return None
    baseline = earlier.baseline if earlier else trials.original.confirmation
    return Looked(look.candidate.name, min(bounds, default=look.confidence), baseline, trials.latest_noise)
