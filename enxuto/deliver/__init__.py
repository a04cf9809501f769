"""What programs take away from a report: text files by name, made from the validated report alone."""

from __future__ import annotations

from enxuto.deliver.serving import serving_files
from enxuto.deliver.settings import settings_files
from enxuto.report import BenchmarkReport, OptimizeReport, Report

__all__ = ["files_of"]


def files_of(report: Report) -> dict[str, str]:
    """Text files by the name that they are delivered under; none where the report has nothing for programs."""
    if isinstance(report, OptimizeReport):
        return settings_files(report)
    if isinstance(report, BenchmarkReport):
        return serving_files(report)
    return {}
