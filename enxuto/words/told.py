"""Verdicts, outcomes and constraints in words."""

from __future__ import annotations

from enxuto.report import Outcome, Verdict
from enxuto.steps import HostNoise

VERDICT_WORDS: dict[Verdict, str] = {
    "improved": "improved",
    "no_gain": "no gain",
    "regressed": "regressed",
    "inconclusive": "inconclusive",
}
VERDICT_MARKS: dict[Verdict, str] = {"improved": "▲", "no_gain": "=", "regressed": "▼", "inconclusive": "?"}
OUTCOME_WORDS: dict[Outcome, str] = {
    "feasible": "feasible",
    "infeasible": "infeasible",
    "not_applicable": "not applicable",
    "failed": "failed",
    "duplicate": "duplicate",
    "skipped": "skipped",
}
OUTCOME_MARKS: dict[Outcome, str] = {
    "feasible": "✓",
    "infeasible": "✗",
    "not_applicable": "–",
    "failed": "!",
    "duplicate": "≡",
    "skipped": "…",
}
CONSTRAINT_WORDS = {
    "max_drop": "the limit on what may be lost",
    "size_mb": "the limit on the file's size",
    "p95_ms": "the limit on the 95th percentile of the latency",
    "memory_mb": "the limit on memory",
}
"""By the name of its field in a goal."""


def blocking_words(constraint: str) -> str:
    """Which constraint stands in the way, in a sentence."""
    return f"{CONSTRAINT_WORDS.get(constraint, constraint)}: without it a candidate would do."


def noisy(noise: HostNoise) -> bool:
    """Whether so much else went on that numbers of this load deserve doubt."""
    return (noise.steal_share or 0.0) > 0.01 or (noise.pressure_share or 0.0) > 0.1
