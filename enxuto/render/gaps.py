"""What a report does not know: a number that is missing says so, instead of leaving the reader to guess."""

from __future__ import annotations

from collections.abc import Iterator

from enxuto.report import BenchmarkReport, CompareReport, Measurements, OptimizeReport, ProfileReport, Report
from enxuto.words import conditions_words


def not_measured(report: Report) -> list[str]:
    """A sentence a gap."""
    conditions = conditions_words(report.workload, batch=not isinstance(report, BenchmarkReport)).replace(", ", " and ")
    return [
        *_own_gaps(report),
        f"Speed on any other processor than {report.machine.processor}, or with other libraries than those named.",
        f"Speed under other conditions than {conditions}, or beside other work on the same machine.",
        "Energy.",
    ]


def _own_gaps(report: Report) -> Iterator[str]:
    match report:
        case OptimizeReport() | CompareReport():
            yield from _judged_gaps(report)
        case BenchmarkReport():
            yield from _load_gaps(report)
        case ProfileReport():
            yield from _profile_gaps(report)


def _judged_gaps(report: OptimizeReport | CompareReport) -> Iterator[str]:
    seen = _seen(report)
    if report.metric is None:
        yield "Accuracy: there was no data to judge it on."
    if all(one.memory_bytes is None for one in seen):
        yield "Memory."
    elif any(one.memory_bytes is None for one in seen):
        yield "Memory of the models that show none."
    percentiles = [one.latency for one in seen if one.latency]
    if any(one.p95_ms is None for one in percentiles):
        yield "The 95th percentile where it shows a dash: fewer than 200 calls do not carry it."
    elif any(one.p99_ms is None for one in percentiles):
        yield "The 99th percentile where it shows a dash: fewer than 1,000 calls do not carry it."


def _load_gaps(report: BenchmarkReport) -> Iterator[str]:
    yield "Accuracy: a benchmark looks at speed and memory alone."
    if not report.replay.datasets:
        yield "Real inputs: there was no data, so they were drawn by chance, of the right shapes and types."
    yield "The way of a request through a network: queries were sent from within the process that runs the model."
    if report.scenario and not report.scenario.valid:
        yield "What MLPerf would accept: runs were shorter, or had fewer queries, than its rules want."
    if report.plan and report.plan.measured is None:
        yield "Whether the serving plan holds: it was simulated, and not checked by a real load."
    if any(one.p95_ms is None for one in report.points if one.outcome == "measured"):
        yield "The 95th percentile of a point where it shows a dash: fewer than 200 calls do not carry it."


def _profile_gaps(report: ProfileReport) -> Iterator[str]:
    if not report.replay.datasets:
        yield "Real inputs: there was no data, so they were drawn by chance, of the right shapes and types."
    nodes = [one for model in (report.profile, report.against) if model for one in model.nodes]
    if any(one.operations is None for one in nodes):
        yield "How near to the peak the nodes come that show a dash: the operations of their kind are not counted."
    if any(one.moved_bytes is None for one in nodes):
        yield "Bytes moved of the nodes that show a dash: some shape cannot be told."
    yield "Traffic within the caches: bytes are those that must move at least, each once."


def _seen(report: OptimizeReport | CompareReport) -> list[Measurements]:
    if isinstance(report, CompareReport):
        return [report.measured, report.measured_against]
    tried = [one for one in report.candidates if one.outcome in ("feasible", "infeasible")]
    chosen_by = [report.baseline.selection, *(one.selection for one in tried)]
    confirmed = [report.baseline.confirmation, *(one.confirmation for one in tried)]
    return [*chosen_by, *(seen for seen in confirmed if seen)]
