"""From what was confirmed to a verdict and the sentence that explains it."""

from __future__ import annotations

from dataclasses import dataclass

from enxuto.goal import Goal
from enxuto.judge.speed import MARGIN, speed_verdict
from enxuto.report import Baseline, Candidate, Measurements, Verdict
from enxuto.search.choose import amount, broken_constraints, unproven_constraints
from enxuto.steps import Estimate


@dataclass(frozen=True)
class Decision:
    verdict: Verdict
    why: str
    winner: bool
    """Whether the candidate is the one to recommend."""
    unproven: bool
    """Whether it may be as good as it looks, and could not be shown to be."""


def exact(value: float) -> Estimate:
    """A number that has no spread: a ratio of two file sizes."""
    return Estimate(value=value, low=value, high=value, confidence=1.0)


_UNKNOWN = Estimate(value=1.0, low=0.0, high=1e9, confidence=0.95)
"""Where nothing was measured: any gain is possible."""


def objective_gain(
    goal: Goal, original: Baseline, candidate: Candidate, before: Measurements, after: Measurements
) -> Estimate:
    """How many times better than the original the objective became."""
    match goal.objective:
        case "size":
            return exact(original.model.size_bytes / candidate.model.size_bytes) if candidate.model else _UNKNOWN
        case "memory":
            if before.memory_bytes is None or after.memory_bytes is None:
                return _UNKNOWN
            return exact(before.memory_bytes / after.memory_bytes)
        case _:
            return after.speedup or _UNKNOWN


def decide(goal: Goal, original: Baseline, candidate: Candidate) -> Decision:
    """Judge a confirmed candidate under its goal."""
    after = candidate.confirmation or Measurements()
    before = original.confirmation or Measurements()
    size_bytes = candidate.model.size_bytes if candidate.model else 0
    gain = objective_gain(goal, original, candidate, before, after)
    progress = speed_verdict(gain, MARGIN)
    what = f"{candidate.name}: {gain_in_words(goal, gain)}"
    if broken := broken_constraints(goal, size_bytes, after, surely=True):
        return Decision(
            "inconclusive",
            f"{what}, but on samples and loads that did not choose it, it {' and it '.join(broken)}. "
            "Nothing else was tried on those samples.",
            winner=False,
            unproven=False,
        )
    if progress in ("no_gain", "regressed"):
        return Decision("no_gain", f"The original stays: the best candidate brought no gain ({what}).", False, False)
    missing = unproven_constraints(goal, after)
    if missing or progress == "inconclusive":
        reasons = missing or [f"the interval of its gain touches the margin of {MARGIN:.0%} that counts as equal"]
        return Decision("inconclusive", f"{what}, but not proven: {'; '.join(reasons)}.", False, True)
    return Decision("improved", f"{what}{_loss_in_words(after)}.", True, False)


def gain_in_words(goal: Goal, gain: Estimate) -> str:
    words = {"latency": "as fast", "throughput": "the throughput", "size": "smaller", "memory": "less memory"}
    interval = "" if gain.low == gain.high else f" ({gain.low:.2f}–{gain.high:.2f})"
    return f"{gain.value:.2f}×{interval} {words[goal.objective]}"


def _loss_in_words(after: Measurements) -> str:
    if after.drop is None:
        return "; accuracy was not asked for"
    drop = after.drop
    return (
        f", losing {amount(drop, drop.value)} (at most {amount(drop, drop.high)} at {drop.confidence:.0%} confidence, "
        f"on {drop.samples:,} samples that did not choose it)"
    )


def decide_recipe(goal: Goal, original: Baseline, candidate: Candidate) -> Decision:
    """Judge a recipe that was applied as asked: it is delivered whatever the verdict says of it.

    It improved when it got faster or smaller without a loss beyond the usual limit, and regressed when it surely lost
    more than that, or got slower without getting smaller.
    """
    after = candidate.confirmation or Measurements()
    size = exact(original.model.size_bytes / candidate.model.size_bytes) if candidate.model else exact(1.0)
    speed = after.speedup
    axes = {speed_verdict(size, MARGIN)} | ({speed_verdict(speed, MARGIN)} if speed else set())
    times = f"{speed.value:.2f}× ({speed.low:.2f}–{speed.high:.2f}) as fast, " if speed else ""
    what = f"{candidate.name}: {times}{size.value:.2f}× smaller{_loss_in_words(after) if after.drop else ''}"
    limit = goal.max_drop
    if limit and after.drop and after.drop.low > limit.value:
        return Decision("regressed", f"{what}; that is more than {amount(after.drop, limit.value)}.", True, False)
    missing = unproven_constraints(goal, after)
    if "improved" in axes and not missing:
        return Decision("improved", f"{what}.", True, False)
    if "improved" in axes:
        return Decision("inconclusive", f"{what}, but not proven: {'; '.join(missing)}.", True, True)
    if "regressed" in axes:
        return Decision("regressed", f"{what}.", True, False)
    if "inconclusive" in axes:
        return Decision("inconclusive", f"{what}; the interval touches the margin of {MARGIN:.0%}.", True, True)
    return Decision("no_gain", f"{what}; both within the margin of {MARGIN:.0%}.", True, False)
