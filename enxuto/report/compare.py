"""The report of a ``compare`` job."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from enxuto.report.common import JudgedReport, Measurements, ModelRef, Verdict
from enxuto.request import CompareOptions
from enxuto.schema import Value
from enxuto.steps import Estimate


class Axis(Value):
    """One side of a comparison."""

    verdict: Verdict
    passed: bool | None
    """Against its threshold; null where none was asked."""
    estimate: Estimate | None
    """Speedup, ratio or drop, with its interval."""
    detail: str


class CompareReport(JudgedReport):
    kind: Literal["compare"] = "compare"
    request: CompareOptions
    against: ModelRef
    against_name: str
    verdict: Verdict
    why: str
    passed: bool
    """Whether every threshold holds; with none asked, whether nothing regressed."""
    speed: Axis
    accuracy: Axis | None
    memory: Axis
    size: Axis
    measured: Measurements
    measured_against: Measurements
    worst_samples: list[int]
    """Positions in the evaluation data of the samples that lost most, the greatest loss first; at most 20."""
    worst_losses: list[float] = Field(default_factory=list)
    """What each of them lost, in the metric's own unit."""
