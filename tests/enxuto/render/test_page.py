"""The page holds every number, asks nothing of the network, and trusts no name."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pydantic import ValidationError

from enxuto.deliver import files_of
from enxuto.render.page import html, render_report
from enxuto.report import Baseline, CompareReport, Measurements, OptimizeReport, Verdict
from enxuto.steps import RenderReport
from tests.support.reports import compare_report, digest, optimize_report, without_data

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}'


class Elements(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def text_of(page: str) -> str:
    body = page[page.index("<body>") :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body)).replace("\u00a0", " ")


def test_the_step_writes_one_page_from_the_reports_json(tmp_path: Path) -> None:
    report, out = tmp_path / "report.json", tmp_path / "out"
    out.mkdir()
    report.write_text(optimize_report().model_dump_json(by_alias=True))
    rendered = render_report(RenderReport(report=digest("report")), {digest("report"): report}, out)
    assert sorted(path.name for path in out.iterdir()) == ["delivered", "report.html"]
    assert "digits.onnx" in (out / rendered.file).read_text()
    assert {name: (out / path).read_text() for name, path in rendered.delivered_files.items()} == files_of(
        optimize_report()
    )


def test_what_is_no_report_is_not_rendered(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text('{"kind": "optimize", "model_name": "<b>"}')
    with pytest.raises(ValidationError):
        render_report(RenderReport(report=digest("report")), {digest("report"): report}, tmp_path)


@pytest.mark.parametrize("report", [optimize_report(), without_data(), compare_report()], ids=lambda one: one.verdict)
def test_a_page_is_whole_in_itself(report: OptimizeReport | CompareReport) -> None:
    page = html(report)
    elements = Elements(page).found
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "a"} & {tag for tag, _ in elements}
    loads = [(tag, name) for tag, attributes in elements for name in attributes if name in ("src", "href", "style")]
    assert loads == []
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on")]
    assert "url(" not in page
    assert "@import" not in page
    assert "http:" not in page
    assert "https:" not in page


def test_a_hostile_name_is_only_ever_text() -> None:
    report = optimize_report()
    first = report.candidates[0].model_copy(update={"name": HOSTILE, "reason": HOSTILE, "notes": [HOSTILE]})
    inspection = report.inspection.model_copy(update={"operators": {HOSTILE: 3}})
    machine = report.machine.model_copy(update={"processor": HOSTILE})
    page = html(
        optimize_report(
            model_name=HOSTILE,
            metric_name=HOSTILE,
            why=HOSTILE,
            candidates=[first, *report.candidates[1:]],
            inspection=inspection,
            machine=machine,
            preprocessing={HOSTILE: report.preprocessing["image"]},
        )
    )
    page += html(compare_report(model_name=HOSTILE, against_name=HOSTILE, why=HOSTILE, metric_name=HOSTILE))
    tags = {tag for tag, _ in Elements(page).found}
    assert not tags & {"script", "img"}
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10
    assert "<script" not in page
    assert "{{ 7*7 }}" in page, "a name is never read as a template"


def test_the_headline_numbers_stand_with_their_intervals() -> None:
    text = text_of(html(optimize_report()))
    for fact in (
        "lowest latency, with at most 1 % of top-1 lost, at 95 % confidence; p95 ≤ 10 ms; file ≤ 5 MB",
        "1.84× 1.81–1.87, 95 % interval over 7 fresh loads",
        "≤ 0.57 % estimate 0.11 %; bound at 95 %, limit 1 %",
        "Latency p50 0.809 ms 0.441 ms",
        "Latency p95 0.914 ms 0.498 ms",
        "4.84 MB 1.24 MB 0.26×",
        "62.3 MB 59.0 MB",
        "top-1 0.9789 0.9778",
        "29.1 dB",
        "Confirmed on 900 samples and on fresh loads that chose nothing.",
        "Calibration 200 Selection 300 Confirmation 900",
    ):
        assert fact in text


def test_every_candidate_is_there_with_its_reason_and_notes() -> None:
    report = optimize_report()
    text = text_of(html(report))
    for one in report.candidates:
        assert one.name in text
        assert all(sentence in text for sentence in (one.reason, *one.notes))
    assert text.count("◆ front") == len(report.pareto)
    assert text.count("★ winner") == 1
    for ratio in report.candidates[2].selection.load_ratios:
        assert f"{ratio:.3f}" in text


def test_where_nothing_was_measured_the_page_says_so() -> None:
    text = text_of(html(without_data()))
    assert "Accuracy: there was no data to judge it on." in text
    assert "Speed on any other processor than AMD EPYC 9354P 32-Core Processor" in text
    assert "Energy." in text
    assert "Loss of" not in text
    assert "It is not recommended: its case is not proven." in text


def test_a_report_of_nothing_but_the_original_is_a_page_too() -> None:
    report = optimize_report()
    baseline = Baseline(model=report.model, selection=Measurements())
    page = html(
        optimize_report(
            verdict="inconclusive", winner=None, candidates=[], pareto=["original"], noise=[], baseline=baseline,
            stopped="deadline",
        )
    )  # fmt: skip
    assert "No candidate is recommended." in text_of(page)
    assert "stopped by its deadline" in page


@pytest.mark.parametrize(
    ("verdict", "mark"), [("improved", "▲"), ("no_gain", "="), ("regressed", "▼"), ("inconclusive", "?")]
)
def test_a_verdict_is_told_by_shape_and_word(verdict: Verdict, mark: str) -> None:
    text = text_of(html(optimize_report(verdict=verdict)))
    assert f"{mark} {verdict.replace('_', ' ')}" in text


def test_a_comparison_shows_each_side_with_its_threshold() -> None:
    text = text_of(html(compare_report()))
    for fact in (
        "digits-int8.onnx against digits.onnx",
        "✗ not passed",
        "at most 0.5 % of top-1 lost, at 95 % confidence; speedup at least 1.2×, with the whole interval",
        "▲ improved at least 1.2× ✓ yes",
        "? inconclusive at most 0.5 % lost ✗ no",
        "−0.35 % to 0.57 %",
        "311, 42, 1033, 7",
        "1.24 MB against 4.84 MB.",
    ):
        assert fact in text
