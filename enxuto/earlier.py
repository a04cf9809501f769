"""Reads the report of an earlier search, whose measurements another goal is answered from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from enxuto.errors import BadInput
from enxuto.report import Measurements, OptimizeReport

_MOST_BYTES = 256 << 20


def read_earlier(path: str | Path) -> OptimizeReport:
    """Raises BadInput where the file is not there, or is no report of an optimization."""
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"There is no file '{path}'.", code="file_not_found", hint="Check the path.")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("too large")
        report = OptimizeReport.model_validate_json(path.read_bytes())
        if not _is_sound(report):
            raise ValueError("no search writes this")
        return report
    except (ValidationError, ValueError) as error:
        raise BadInput(
            f"'{path}' is no report of an optimization that this version reads.",
            code="earlier_does_not_fit",
            hint="Give the report.json of an earlier optimization of the same model.",
        ) from error


def _is_sound(report: OptimizeReport) -> bool:
    """Whether a search could have written it; a report that was edited by hand may hold what nothing is divided by."""
    sizes = {report.model.sha256: report.model.size_bytes, report.baseline.model.sha256: report.model.size_bytes}
    models = [report.baseline.model, *(one.model for one in report.candidates if one.model)]
    seen = [report.baseline.selection, report.baseline.confirmation]
    seen += [measured for one in report.candidates for measured in (one.selection, one.confirmation)]
    seen += [look.baseline for look in report.confirmations]
    names = [one.name for one in report.candidates]
    return (
        len(set(names)) == len(names)
        and {look.candidate for look in report.confirmations} <= set(names)
        and len(sizes) == 1
        and all(0 < model.size_bytes == sizes.setdefault(model.sha256, model.size_bytes) for model in models)
        and all(value > 0 for one in seen if one for value in _positive(one))
    )


def _positive(seen: Measurements) -> Iterator[float]:
    """Measurements that nothing runs without."""
    for estimate in (seen.speedup, seen.cpu_speedup):
        yield from (estimate.low, estimate.value, estimate.high) if estimate else ()
    yield from (seen.latency.p50_ms, seen.latency.throughput) if seen.latency else ()
    yield from () if seen.memory_bytes is None else (seen.memory_bytes,)
