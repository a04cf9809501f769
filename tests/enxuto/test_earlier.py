"""Which files are taken for the report of an earlier search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from enxuto.earlier import read_earlier
from enxuto.errors import BadInput
from enxuto.report import Candidate, OptimizeReport
from enxuto.steps import Estimate
from tests.support.reports import candidates, compare_report, optimize_report, searched_report, without_data


def written(folder: Path, text: str) -> Path:
    path = folder / "report.json"
    path.write_text(text)
    return path


def changed(change: Callable[[Candidate], dict[str, object]]) -> OptimizeReport:
    first, *rest = candidates()
    return optimize_report(candidates=[first.model_copy(update=change(first)), *rest])


def smaller(one: Candidate) -> dict[str, object]:
    assert one.model is not None
    return {"model": one.model.model_copy(update={"size_bytes": -3})}


def never(one: Candidate) -> dict[str, object]:
    nothing = Estimate(value=0.0, low=0.0, high=0.0, confidence=0.95)
    return {"selection": one.selection.model_copy(update={"speedup": nothing})}


@pytest.mark.parametrize("report", [optimize_report(), searched_report(), without_data()])
def test_what_a_search_wrote_is_read_as_it_was(tmp_path: Path, report: OptimizeReport) -> None:
    assert read_earlier(written(tmp_path, report.model_dump_json(by_alias=True))) == report


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 100_000,
        "null",
        compare_report().model_dump_json(by_alias=True),
        changed(smaller).model_dump_json(by_alias=True),
        changed(never).model_dump_json(by_alias=True),
        optimize_report(candidates=[*candidates(), *candidates()]).model_dump_json(by_alias=True),
    ],
    ids=["empty", "deep", "null", "comparison", "size", "speedup", "twice"],
)
def test_what_no_search_wrote_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match="no report of an optimization") as refusal:
        read_earlier(written(tmp_path, text))
    assert refusal.value.code == "earlier_does_not_fit"
