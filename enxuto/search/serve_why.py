"""What became of a serving plan, in words."""

from __future__ import annotations

from enxuto.report import ServingPlan
from enxuto.scenario import ServingGoal
from enxuto.search.serve_runs import QUIET


def outcome_words(goal: ServingGoal, plan: ServingPlan) -> str:
    if plan.measured is None:
        return f"It could not be checked: {plan.check_failed}"
    p95 = plan.measured.latency.p95_ms
    if p95 is None:
        return f"Only {plan.measured.latency.queries} queries came in {goal.check_s:g} s: too few to check a p95."
    over = goal.memory_mb is not None and plan.measured.peak_bytes > goal.memory_mb * 1e6
    memory = f", but took {plan.measured.peak_bytes / 1e6:.0f} MB" if over else ""
    verb = "held" if p95 <= goal.p95_ms else "missed"
    return f"A real load run {verb} it: p95 {p95:.3g} ms{memory}.{_compared(plan)}"


def _compared(plan: ServingPlan) -> str:
    quiet = plan.measured.quiet if plan.measured else None
    if quiet is None:
        return ""
    if quiet.p95_ms is None or quiet.simulated_p95_ms is None or quiet.share < QUIET:
        return f" Threads waited for cores that were taken: only {quiet.share:.0%} of the queries met a quiet moment."
    return (
        f" Of the {quiet.share:.0%} of queries that met a quiet moment p95 is {quiet.p95_ms:.3g} ms, and was "
        f"{quiet.simulated_p95_ms:.3g} ms by simulation."
    )
