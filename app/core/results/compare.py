"""What a comparison hands back."""

from __future__ import annotations

from typing import Literal

from enxuto.report import Axis, CompareReport, Verdict
from enxuto.schema import Value


class CompareResult(Value):
    kind: Literal["compare"] = "compare"
    verdict: Verdict
    why: str
    passed: bool
    speed: Axis
    accuracy: Axis | None
    memory: Axis
    size: Axis


def compare_result(report: CompareReport) -> CompareResult:
    return CompareResult(
        verdict=report.verdict,
        why=report.why,
        passed=report.passed,
        speed=report.speed,
        accuracy=report.accuracy,
        memory=report.memory,
        size=report.size,
    )
