"""The report: everything measured for one job. Summary, tables, plots and HTML are derived from it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, TypeAdapter

from enxuto.report.benchmark import (
    BenchmarkReport,
    Knee,
    LargestBatch,
    Point,
    Run,
    ScenarioResult,
    ServingPlan,
)
from enxuto.report.common import JudgedReport, Latency, Measurements, ModelRef, Replay, RunReport, Verdict
from enxuto.report.compare import Axis, CompareReport
from enxuto.report.optimize import (
    Baseline,
    Candidate,
    Confirmation,
    LayerScore,
    NearMiss,
    OptimizeReport,
    Outcome,
    SlowerOperator,
    Splits,
)
from enxuto.report.profile import MatchedGroup, Node, OperatorType, ProfiledModel, ProfileReport

__all__ = [
    "Axis",
    "Baseline",
    "BenchmarkReport",
    "Candidate",
    "CompareReport",
    "Confirmation",
    "JudgedReport",
    "Knee",
    "LargestBatch",
    "Latency",
    "LayerScore",
    "MatchedGroup",
    "Measurements",
    "ModelRef",
    "NearMiss",
    "Node",
    "OperatorType",
    "OptimizeReport",
    "Outcome",
    "Point",
    "ProfileReport",
    "ProfiledModel",
    "Replay",
    "Report",
    "ReportAdapter",
    "Run",
    "RunReport",
    "ScenarioResult",
    "ServingPlan",
    "SlowerOperator",
    "Splits",
    "Verdict",
]

Report = OptimizeReport | CompareReport | BenchmarkReport | ProfileReport
ReportAdapter: TypeAdapter[Report] = TypeAdapter(Annotated[Report, Field(discriminator="kind")])
