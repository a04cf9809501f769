"""Chooses: which candidates meet the constraints, which of them is best, and which no other beats."""

from __future__ import annotations

from enxuto.goal import Goal
from enxuto.judge.enough import samples_to_decide
from enxuto.metric import Metric
from enxuto.report import Baseline, Candidate, Measurements
from enxuto.steps import Drop
from enxuto.words import limit_percent, percent, significant

ORIGINAL = "original"
AT = "@"
"""Between a candidate's name and the settings that it is run under, where they are not the usual ones."""


def broken_constraints(goal: Goal, size_bytes: int, seen: Measurements, *, surely: bool = False) -> list[str]:
    """What a model misses, in words; by point estimate, or for the accuracy only what is ``surely`` lost."""
    broken = []
    if goal.max_drop and seen.drop and (seen.drop.low if surely else seen.drop.value) > goal.max_drop.value:
        broken.append(
            f"loses {amount(seen.drop, seen.drop.value)}, at most {amount(seen.drop, goal.max_drop.value)} is allowed"
        )
    if goal.size_mb and size_bytes > goal.size_mb * 1e6:
        broken.append(f"is {_told(size_bytes / 1e6)} MB large, allowed are {goal.size_mb:g} MB")
    if goal.p95_ms and seen.latency and seen.latency.p95_ms and seen.latency.p95_ms > goal.p95_ms:
        broken.append(f"takes {_told(seen.latency.p95_ms)} ms at p95, allowed are {goal.p95_ms:g} ms")
    if goal.memory_mb and seen.memory_bytes and seen.memory_bytes > goal.memory_mb * 1e6:
        broken.append(f"takes {seen.memory_bytes / 1e6:.0f} MB of memory, allowed are {goal.memory_mb:g} MB")
    return broken


def _told(value: float) -> str:
    """Two places, and below 1 as many as tell a small model's number from its limit."""
    return f"{value:.2f}" if value >= 1 else significant(value)


def unproven_constraints(goal: Goal, seen: Measurements) -> list[str]:
    """What was asked and could not be shown, in words."""
    unproven = []
    if goal.max_drop and seen.drop is None:
        unproven.append("there is no data to show what accuracy is lost")
    elif goal.max_drop and seen.drop and seen.drop.high > goal.max_drop.value:
        unproven.append(too_wide(seen.drop, goal.max_drop.value))
    if goal.p95_ms and (seen.latency is None or seen.latency.p95_ms is None):
        unproven.append("too few calls were timed to tell the 95th percentile")
    if goal.memory_mb and seen.memory_bytes is None:
        unproven.append("its memory could not be measured")
    return unproven


def too_wide(drop: Drop, limit: float) -> str:
    """Why a drop is not proven to be within a limit, and how many samples would do."""
    needed = samples_to_decide(drop, limit)
    more = f"; about {_rounded_up(needed):,} samples would decide" if needed else ""
    surely = f"at {limit_percent(drop.confidence)} confidence"
    return (
        f"on {drop.samples:,} samples it loses {amount(drop, drop.value)}, {surely} at most "
        f"{amount(drop, drop.high)}, and {amount(drop, limit)} is allowed{more}"
    )


def _rounded_up(count: int) -> int:
    """To two digits: a forecast knows no more."""
    step: int = 10 ** max(len(str(count)) - 2, 0)
    return -(-count // step) * step


def amount(drop: Drop, value: float) -> str:
    return percent(value) if drop.relative else f"{value:.4g}"


def cost(goal: Goal, size_bytes: int, seen: Measurements) -> float:
    """What is minimised, as a share of nothing in particular: smaller is better, infinite where it is not known."""
    match goal.objective:
        case "size":
            return float(size_bytes)
        case "memory":
            return float(seen.memory_bytes) if seen.memory_bytes else float("inf")
        case _:
            return 1 / seen.speedup.value if seen.speedup else float("inf")


def wants_time(goal: Goal) -> bool:
    """Whether a candidate is told by how long calls take."""
    return goal.objective in ("latency", "throughput") or goal.p95_ms is not None


def best(goal: Goal, candidates: list[Candidate], confirming: int, margin: float) -> Candidate | None:
    """The candidate to confirm: the best objective among those whose drop can be proven on the samples that are left.

    Within the margin of practical equality the one most like the original is preferred, then the faster. Other settings
    than the usual ones must pay by more than that.
    """
    known = [
        candidate for candidate in candidates if candidate.model and candidate_cost(goal, candidate) < float("inf")
    ]
    pool = [candidate for candidate in known if _provable(goal, candidate, confirming)] or known
    if not pool:
        return None
    lowest = min(candidate_cost(goal, candidate) for candidate in pool)
    equal = [candidate for candidate in pool if candidate_cost(goal, candidate) <= lowest * (1 + margin)]
    chosen = max(equal, key=_likeness)
    return next((other for other in equal if is_base(other, chosen)), chosen)


def candidate_cost(goal: Goal, candidate: Candidate) -> float:
    """What is minimised, of one candidate."""
    return cost(goal, candidate.model.size_bytes if candidate.model else 0, candidate.selection)


def is_base(one: Candidate, other: Candidate) -> bool:
    """Whether the other candidate is this one under other settings."""
    same_file = one.model and other.model and one.model.sha256 == other.model.sha256
    return bool(same_file) and other.name.startswith(f"{one.name} {AT} ")


def _provable(goal: Goal, candidate: Candidate, confirming: int) -> bool:
    if goal.max_drop is None or candidate.selection.drop is None:
        return True
    needed = samples_to_decide(candidate.selection.drop, goal.max_drop.value)
    return needed is not None and needed <= confirming


def _likeness(candidate: Candidate) -> tuple[float, float]:
    faster = candidate.selection.speedup
    return sqnr_db(candidate), faster.value if faster else 0.0


def sqnr_db(candidate: Candidate) -> float:
    """Signal over noise at the outputs; infinite where they are the original's to the bit, 0 where it is not known."""
    fidelity = candidate.selection.fidelity
    return 0.0 if fidelity is None else float("inf") if fidelity.sqnr_db is None else fidelity.sqnr_db


def pareto_front(original: Baseline, candidates: list[Candidate], metric: Metric | None, margin: float) -> list[str]:
    """Names of those that no other beats in speed, size and metric at once; other settings must pay by the margin."""
    sign = 1.0 if metric is None or metric.higher_is_better else -1.0
    points = {ORIGINAL: _point(original.model.size_bytes, original.selection, sign, default_speedup=1.0)}
    for candidate in candidates:
        if candidate.model and candidate.outcome in ("feasible", "infeasible") and candidate.selection.speedup:
            if _gains_too_little(candidate, candidates, margin):
                continue
            points[candidate.name] = _point(candidate.model.size_bytes, candidate.selection, sign)
    return [
        name
        for name, point in points.items()
        if not any(_dominates(other, point) for rival, other in points.items() if rival != name)
    ]


def _gains_too_little(variant: Candidate, candidates: list[Candidate], margin: float) -> bool:
    """Whether these settings bring no more than the margin, so that luck alone would put the variant on the front."""
    if AT not in variant.name.split() or variant.selection.speedup is None:
        return False
    base = next((other.selection.speedup for other in candidates if is_base(other, variant)), None)
    return variant.selection.speedup.value <= (base.value if base else 1.0) * (1 + margin)


Point = tuple[float, float, float]


def _point(size_bytes: int, seen: Measurements, sign: float, default_speedup: float = 0.0) -> Point:
    """Speed, smallness and quality: larger is better in each."""
    return (
        seen.speedup.value if seen.speedup else default_speedup,
        -float(size_bytes),
        sign * seen.metric if seen.metric is not None else 0.0,
    )


def _dominates(one: Point, other: Point) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))
