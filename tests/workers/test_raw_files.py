"""What was recorded stays beside the report, each file under a name that tells what it is of."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from enxuto.report import Report
from enxuto.settings import OnnxRuntimeSettings
from tests.support import reports
from workers.raw_files import raw_files

EVERY_KIND = [
    reports.optimize_report(),
    reports.compare_report(),
    reports.benchmark_report(),
    reports.server_report(),
    reports.profile_report(),
    reports.profile_of_two(),
]


def raw_in(value: object) -> Iterator[str]:
    """Digests that stand in fields called ``raw``, wherever in the report."""
    if isinstance(value, BaseModel):
        for name, inner in value:
            if name == "raw":
                yield from [inner] if isinstance(inner, str) else inner
            else:
                yield from raw_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from raw_in(inner)


@pytest.mark.parametrize("report", EVERY_KIND, ids=lambda report: report.kind)
def test_whatever_a_report_names_as_raw_is_a_file_once(report: Report) -> None:
    files = raw_files(report)
    assert files
    assert set(files.values()) == set(raw_in(report))
    assert len(set(files.values())) == len(files)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,159}", name) for name in files)


def test_a_point_of_a_curve_is_found_by_its_name() -> None:
    report = reports.benchmark_report()
    point = next(point for point in report.points if point.raw)
    runtime = point.settings.runtime
    name = f"{runtime}-batch-{point.batch_size}-threads-{point.threads}-instances-{point.instances}-load-1.npz"
    assert raw_files(report)[name] == point.raw[0]


def test_two_ways_to_set_up_one_runtime_do_not_share_a_name() -> None:
    point = next(point for point in reports.benchmark_report().points if point.raw)
    quiet = point.model_copy(update={"settings": OnnxRuntimeSettings(spinning=False), "raw": ["f" * 64]})
    usual = point.model_copy(update={"settings": OnnxRuntimeSettings(), "raw": ["e" * 64]})
    names = raw_files(reports.benchmark_report(points=[usual, quiet], plan=None))
    assert [name.split("-batch")[0] for name in names] == ["onnxruntime", "onnxruntime-2"]
