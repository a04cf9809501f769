"""What a report does not know: a number that is missing says so, instead of leaving the reader to guess."""

from __future__ import annotations

from enxuto.report import CompareReport, Measurements, OptimizeReport
from enxuto.workload import Workload


def not_measured(report: OptimizeReport | CompareReport) -> list[str]:
    """A sentence a gap."""
    seen = _seen(report)
    gaps = [
        f"Speed on any other processor than {report.machine.processor}, or with other libraries than those named.",
        f"Speed under other conditions than {_conditions(report.workload)}, or beside other work on the same machine.",
        "Energy.",
    ]
    if report.metric is None:
        gaps.insert(0, "Accuracy: there was no data to judge it on.")
    if all(one.memory_bytes is None for one in seen):
        gaps.append("Memory.")
    elif any(one.memory_bytes is None for one in seen):
        gaps.append("Memory of the models that show a dash.")
    percentiles = [one.latency for one in seen if one.latency]
    if any(one.p95_ms is None for one in percentiles):
        gaps.append("The 95th percentile where it shows a dash: fewer than 200 calls do not carry it.")
    elif any(one.p99_ms is None for one in percentiles):
        gaps.append("The 99th percentile where it shows a dash: fewer than 1,000 calls do not carry it.")
    return gaps


def _seen(report: OptimizeReport | CompareReport) -> list[Measurements]:
    if isinstance(report, CompareReport):
        return [report.measured, report.measured_against]
    tried = [one.selection for one in report.candidates if one.outcome in ("feasible", "infeasible")]
    return [report.baseline.selection, *tried]


def _conditions(workload: Workload) -> str:
    threads = "one thread" if workload.threads == 1 else f"{workload.threads} threads"
    return f"batch {workload.batch_size} and {threads}"
