"""Where nothing meets a goal: what comes nearest, and which constraint stands in the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from enxuto.goal import Goal
from enxuto.report import Candidate, NearMiss
from enxuto.search.choose import broken_constraints
from enxuto.words import blocking_words

Constraint = Literal["max_drop", "size_mb", "p95_ms", "memory_mb"]
_CONSTRAINTS: tuple[Constraint, ...] = ("max_drop", "size_mb", "p95_ms", "memory_mb")
_MOST = 3


def near_misses(goal: Goal, candidates: Sequence[Candidate]) -> list[NearMiss]:
    """Candidates that miss a constraint, the nearest first, by what they miss most as a share of the limit."""
    missing = [
        NearMiss(name=candidate.name, misses=words, short_by=max(shortfalls(goal, candidate).values(), default=0.0))
        for candidate in candidates
        if candidate.outcome == "infeasible" and (words := _misses(goal, candidate))
    ]
    return sorted(missing, key=lambda miss: miss.short_by)[:_MOST]


def blocking(goal: Goal, candidates: Sequence[Candidate]) -> Constraint | None:
    """The constraint without which a candidate would meet the goal; where several would do, the one that is missed by
    least. None where none would do alone.
    """
    ways: list[tuple[float, Constraint]] = []
    for candidate in candidates:
        short = shortfalls(goal, candidate)
        if candidate.outcome == "infeasible" and len(short) == 1 and not is_unknown(goal, candidate):
            [(constraint, by)] = short.items()
            ways.append((by, constraint))
    return min(ways)[1] if ways else None


def in_words(goal: Goal, misses: Sequence[NearMiss], constraint: Constraint | None, candidates: int) -> str:
    """Why the original stays, in a few sentences."""
    first, *_ = misses
    nearest = f"The nearest, {first.name}, {' and '.join(first.misses)}"
    each_misses_several = all(len(miss.misses) > 1 for miss in misses)
    if candidates == 1 or (constraint is None and not each_misses_several):
        return f"{nearest}."
    if constraint is not None:
        return f"{nearest}. What stands in the way is {blocking_words(constraint)}"
    asked = [name for name in _CONSTRAINTS if getattr(goal, name) is not None]
    return (
        f"{nearest}. No single one of the {len(asked)} constraints stands in the way: more than one is missed by each."
    )


def shortfalls(goal: Goal, candidate: Candidate) -> dict[Constraint, float]:
    """By how much a candidate misses each constraint that it misses, as a share of the limit."""
    seen = candidate.selection
    values: dict[Constraint, float | None] = {
        "max_drop": seen.drop.value if seen.drop else None,
        "size_mb": candidate.model.size_bytes / 1e6 if candidate.model else None,
        "p95_ms": seen.latency.p95_ms if seen.latency else None,
        "memory_mb": seen.memory_bytes / 1e6 if seen.memory_bytes else None,
    }
    limits = {name: _limit(goal, name) for name in _CONSTRAINTS}
    return {
        name: (value - limit) / (limit or 1.0)
        for name in _CONSTRAINTS
        if (value := values[name]) is not None and (limit := limits[name]) is not None and value > limit
    }


def _limit(goal: Goal, constraint: Constraint) -> float | None:
    if constraint == "max_drop":
        return goal.max_drop.value if goal.max_drop else None
    limit: float | None = getattr(goal, constraint)
    return limit


def is_unknown(goal: Goal, candidate: Candidate) -> bool:
    """Whether something that the goal limits was not measured."""
    seen = candidate.selection
    return bool(
        (goal.max_drop and seen.drop is None)
        or (goal.p95_ms and (seen.latency is None or seen.latency.p95_ms is None))
        or (goal.memory_mb and seen.memory_bytes is None)
    )


def _misses(goal: Goal, candidate: Candidate) -> list[str]:
    size_bytes = candidate.model.size_bytes if candidate.model else 0
    return broken_constraints(goal, size_bytes, candidate.selection) or ([candidate.reason] if candidate.model else [])
