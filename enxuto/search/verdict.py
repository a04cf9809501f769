"""From what was confirmed to a verdict and the sentence that explains it."""

from __future__ import annotations

from dataclasses import dataclass

from enxuto.goal import Goal
from enxuto.judge.speed import speed_verdict
from enxuto.report import Baseline, Candidate, Measurements, Verdict
from enxuto.search.choose import amount, broken_constraints, unproven_constraints
from enxuto.search.speed import Conditions, JudgedSpeed, judge_speed
from enxuto.steps import Estimate
from enxuto.words import limit_percent


@dataclass(frozen=True)
class Decision:
    verdict: Verdict
    why: str
    winner: bool
    """Whether the candidate is the one to recommend."""
    unproven: bool
    """Whether it may be as good as it looks, and could not be shown to be."""
    about: str = ""
    """What is said of the candidate alone, where the explanation says more."""


def exact(value: float) -> Estimate:
    """A number that has no spread: a ratio of two file sizes."""
    return Estimate(value=value, low=value, high=value, confidence=1.0)


def objective_gain(
    goal: Goal, original: Baseline, candidate: Candidate, before: Measurements, after: Measurements
) -> Estimate | None:
    """How many times better than the original the objective became; None where it could not be measured."""
    match goal.objective:
        case "size":
            return exact(original.model.size_bytes / candidate.model.size_bytes) if candidate.model else None
        case "memory":
            if before.memory_bytes is None or after.memory_bytes is None:
                return None
            return exact(before.memory_bytes / after.memory_bytes)
        case _:
            return after.speedup


def decide(goal: Goal, original: Baseline, candidate: Candidate, conditions: Conditions) -> Decision:
    """Judge a confirmed candidate under its goal.

    Where the original itself misses a constraint, a candidate that meets all of them is better, whatever else it costs.
    """
    after = candidate.confirmation or Measurements()
    before = original.confirmation or Measurements()
    gain = objective_gain(goal, original, candidate, before, after)
    if gain is None:
        why = f"{candidate.name} could not be confirmed: what is to be minimized, {goal.objective}, was not measured."
        return Decision("inconclusive", why, winner=False, unproven=True)
    what = f"{candidate.name}: {gain_in_words(goal, gain)}"
    size_bytes = candidate.model.size_bytes if candidate.model else 0
    if broken := broken_constraints(goal, size_bytes, after, surely=True):
        return Decision(
            "inconclusive",
            f"{what}, but on samples and loads that did not choose it, it {' and it '.join(broken)}.",
            winner=False,
            unproven=False,
        )
    missed = broken_constraints(goal, original.model.size_bytes, before)
    judged = _judge_gain(goal, gain, after, conditions)
    progress: Verdict = "improved" if missed else judged.verdict
    if progress in ("no_gain", "regressed"):
        what = f"{what}{counts_as_equal(gain, conditions.margin)}"
        why = f"The original stays: the best candidate brought no gain ({what})."
        return Decision("no_gain", why, winner=False, unproven=False, about=f"{what}, which is no gain.")
    missing = unproven_constraints(goal, after)
    if missing or progress == "inconclusive":
        reasons = missing or [judged.doubt]
        return Decision("inconclusive", f"{what}, but not proven: {'; '.join(reasons)}.", False, True)
    instead = f"; the original {' and it '.join(missed)}" if missed else ""
    doubt = f"; {judged.doubt}" if judged.doubt else ""
    return Decision("improved", f"{what}{_loss_in_words(after)}{instead}{doubt}.", True, False)


def _judge_gain(goal: Goal, gain: Estimate, after: Measurements, conditions: Conditions) -> JudgedSpeed:
    if goal.objective in ("latency", "throughput"):
        return judge_speed(after, conditions)
    # Sizes and peaks have no interval to reach across.
    return JudgedSpeed(speed_verdict(gain, conditions.margin), "", gain.low)


def gain_in_words(goal: Goal, gain: Estimate) -> str:
    interval = "" if gain.low == gain.high else f" ({gain.low:.2f}–{gain.high:.2f})"
    match goal.objective:
        case "latency":
            return f"{gain.value:.2f}×{interval} as fast"
        case "throughput":
            return f"{gain.value:.2f}×{interval} the throughput"
        case "size":
            return size_in_words(gain)
        case "memory":
            return _times(gain, "less memory", "more memory", "as much memory")


def counts_as_equal(gain: Estimate, margin: float) -> str:
    """Why a little more is no gain; nothing where there is none at all."""
    return f", and up to {limit_percent(margin)} counts as equal" if gain.value > 1 else ""


def size_in_words(gain: Estimate) -> str:
    return _times(gain, "smaller", "larger", "as large")


def _times(gain: Estimate, less: str, more: str, same: str) -> str:
    """A gain in what should be small; one below 1 is a loss."""
    if abs(gain.value - 1) < 0.005:
        return same
    return f"{gain.value:.2f}× {less}" if gain.value > 1 else f"{1 / gain.value:.2f}× {more}"


def _loss_in_words(after: Measurements) -> str:
    if after.drop is None:
        return "; accuracy was not asked for"
    drop = after.drop
    change = f"gaining {amount(drop, -drop.value)}" if drop.value < 0 else f"losing {amount(drop, drop.value)}"
    lost = "losing at most" if drop.value < 0 else "at most"
    return (
        f", {change} ({lost} {amount(drop, drop.high)} at {limit_percent(drop.confidence)} confidence, "
        f"on {drop.samples:,} samples that did not choose it)"
    )


def decide_recipe(goal: Goal, original: Baseline, candidate: Candidate, conditions: Conditions) -> Decision:
    """Judge a recipe that was applied as asked: it is delivered whatever the verdict says of it.

    It improved when it got faster or smaller without a loss beyond the usual limit, and regressed when it surely lost
    more than that, or got slower or larger without any gain.
    """
    after = candidate.confirmation or Measurements()
    size = exact(original.model.size_bytes / candidate.model.size_bytes) if candidate.model else exact(1.0)
    speed = after.speedup
    judged = judge_speed(after, conditions) if speed else None
    axes = {speed_verdict(size, conditions.margin)} | ({judged.verdict} if judged else set())
    times = f"{speed.value:.2f}× ({speed.low:.2f}–{speed.high:.2f}) as fast, " if speed else ""
    what = f"{candidate.name}: {times}{size_in_words(size)}{_loss_in_words(after) if after.drop else ''}"
    limit = goal.max_drop
    if limit and after.drop and after.drop.low > limit.value:
        return Decision("regressed", f"{what}; that is more than {amount(after.drop, limit.value)}.", True, False)
    missing = unproven_constraints(goal, after)
    if "improved" in axes and not missing:
        doubt = f"; {judged.doubt}" if judged and judged.doubt and judged.verdict == "improved" else ""
        return Decision("improved", f"{what}{doubt}.", True, False)
    if "improved" in axes:
        return Decision("inconclusive", f"{what}, but not proven: {'; '.join(missing)}.", True, True)
    if "regressed" in axes:
        return Decision("regressed", f"{what}.", True, False)
    if judged and judged.verdict == "inconclusive":
        return Decision("inconclusive", f"{what}; {judged.doubt}.", True, True)
    return Decision("no_gain", f"{what}; both within the margin of {limit_percent(conditions.margin)}.", True, False)
