"""What a benchmark hands back."""

from __future__ import annotations

from typing import Literal

from enxuto.report import BenchmarkReport, Knee, LargestBatch, Point, Run, ScenarioResult, ServingPlan
from enxuto.schema import Value


class BenchmarkResult(Value):
    kind: Literal["benchmark"] = "benchmark"
    why: str
    """What was found, in a sentence or two."""
    points: list[Point]
    """Of the offline scenario."""
    knee: Knee | None
    """The one with the highest throughput."""
    knees: list[Knee]
    """One for each way to run the model whose curve was searched."""
    largest_batches: list[LargestBatch]
    """Within the memory limit, where one was given."""
    runs: list[Run]
    """Of the other scenarios."""
    scenario: ScenarioResult | None
    """What a load scenario comes to."""
    plan: ServingPlan | None
    plan_why: str
    """Why this plan, or why none; empty where none was asked."""
    stopped: Literal["deadline", "cancelled"] | None


def benchmark_result(report: BenchmarkReport) -> BenchmarkResult:
    return BenchmarkResult(
        why=report.why,
        points=report.points,
        knee=max(report.knees, key=lambda knee: knee.samples_per_s, default=None),
        knees=report.knees,
        largest_batches=report.largest_batches,
        runs=report.runs,
        scenario=report.scenario,
        plan=report.plan,
        plan_why=report.plan_why,
        stopped=report.stopped,
    )
