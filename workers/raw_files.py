"""What was recorded while a job measured, under names that tell what it is of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from enxuto.report import (
    BenchmarkReport,
    CompareReport,
    Measurements,
    OptimizeReport,
    ProfileReport,
    Report,
)
from enxuto.schema import Digest
from enxuto.settings import RunSettings

Named = Iterator[tuple[str, Digest]]


def raw_files(report: Report) -> dict[str, Digest]:
    """Blobs that stay beside the report, by name; the same bytes once."""
    if isinstance(report, BenchmarkReport):
        return _once(_of_benchmark(report))
    if isinstance(report, ProfileReport):
        return _once(_of_profile(report))
    return _once(_of_judged(report))


def _once(named: Named) -> dict[str, Digest]:
    """Names by digest and back, so that a blob that several numbers rest on is one file."""
    names: dict[Digest, str] = {}
    for name, digest in named:
        names.setdefault(digest, name)
    return {name: digest for digest, name in names.items()}


def _of_judged(report: OptimizeReport | CompareReport) -> Named:
    """A load times models side by side into one file, so that a file has the number of its load, not a model's name."""
    if isinstance(report, CompareReport):
        yield from _calls("calls", [report.measured_against, report.measured])
        return
    selection = [report.baseline.selection, *(candidate.selection for candidate in report.candidates)]
    confirmation = [report.baseline.confirmation, *(candidate.confirmation for candidate in report.candidates)]
    yield from _calls("selection-calls", selection)
    yield from _calls("confirmation-calls", [measured for measured in confirmation if measured])


def _calls(name: str, measured: Iterable[Measurements]) -> Named:
    loads = dict.fromkeys(digest for one in measured if one.latency for digest in one.latency.raw)
    yield from ((f"{name}-load-{load}.npz", digest) for load, digest in enumerate(loads, start=1))


def _of_benchmark(report: BenchmarkReport) -> Named:
    ways = _ways([point.settings for point in report.points] + [run.settings for run in report.runs])
    for point in report.points:
        name = f"{ways[point.settings]}-batch-{point.batch_size}-threads-{point.threads}-instances-{point.instances}"
        yield from ((f"{name}-load-{load}.npz", digest) for load, digest in enumerate(point.raw, start=1))
    for position, run in enumerate(report.runs, start=1):
        name = f"{ways[run.settings]}-run-{position}"
        yield from ((f"{name}-{part}.npz", digest) for part, digest in enumerate(run.raw, start=1))
    if report.plan:
        yield from ((f"plan-check-{part}.npz", digest) for part, digest in enumerate(report.plan.raw, start=1))


def _ways(settings: Iterable[RunSettings]) -> dict[RunSettings, str]:
    """A runtime's name, with a number from its second set of settings on."""
    ways: dict[RunSettings, str] = {}
    for one in settings:
        if one not in ways:
            before = sum(other.runtime == one.runtime for other in ways)
            ways[one] = f"{one.runtime}-{before + 1}" if before else one.runtime
    return ways


def _of_profile(report: ProfileReport) -> Named:
    yield "profile-model.json", report.profile.raw
    if report.against:
        yield "profile-against.json", report.against.raw
