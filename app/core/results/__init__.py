"""What a finished job hands back, drawn from its report; the report itself holds everything."""

from __future__ import annotations

from app.core.results.benchmark import BenchmarkResult, benchmark_result
from app.core.results.compare import CompareResult, compare_result
from app.core.results.optimize import OptimizeResult, optimize_result
from app.core.results.profile import SLOWEST_NODES, ProfileResult, profile_result
from enxuto.report import BenchmarkReport, CompareReport, ProfileReport, Report

__all__ = ["SLOWEST_NODES", "JobResult", "result_of"]

JobResult = OptimizeResult | CompareResult | BenchmarkResult | ProfileResult


def result_of(report: Report) -> JobResult:
    """The result of a job whose report names its models by id, wherever they were kept."""
    if isinstance(report, CompareReport):
        return compare_result(report)
    if isinstance(report, BenchmarkReport):
        return benchmark_result(report)
    if isinstance(report, ProfileReport):
        return profile_result(report)
    return optimize_result(report)
