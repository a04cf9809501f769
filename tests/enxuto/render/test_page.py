"""The page holds every number, asks nothing of the network, and trusts no name."""

from __future__ import annotations

import json
import re
from functools import cache
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pydantic import ValidationError

from enxuto.deliver import files_of
from enxuto.render.gaps import not_measured
from enxuto.render.page import html, render_report
from enxuto.report import Baseline, Confirmation, Measurements, ProfileReport, Report, Verdict
from enxuto.steps import RenderReport
from enxuto.words import significant
from tests.support.reports import (
    benchmark_report,
    compare_report,
    digest,
    optimize_report,
    profile_of_two,
    profile_report,
    searched_report,
    server_report,
    without_data,
)

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}'
REPORTS: dict[str, Report] = {
    "optimize": optimize_report(),
    "optimize without data": without_data(),
    "optimize with findings": searched_report(),
    "compare": compare_report(),
    "benchmark": benchmark_report(),
    "server": server_report(),
    "profile": profile_report(),
    "profile of two": profile_of_two(),
}
every_report = pytest.mark.parametrize("name", REPORTS)
VOID = {"meta", "br", "col", "hr", "img", "input", "link"}


class Elements(HTMLParser):
    """Every tag with its attributes; each that opens must close in its turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


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


@cache
def page_of(name: str) -> str:
    return html(REPORTS[name])


@every_report
def test_a_page_is_whole_in_itself(name: str) -> None:
    page = page_of(name)
    elements = Elements(page)
    assert elements.open == []
    assert not {"script", "link", "img", "image", "iframe", "object", "embed", "form", "a"} & {
        tag for tag, _ in elements.found
    }
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    asked = [value for _, attributes in elements.found for name, value in attributes.items() if name in ("src", "href")]
    assert [value for value in asked if not (value or "").startswith("#")] == []
    assert set(re.findall(r"url\((.)", page)) <= {"#"}
    assert "@import" not in page
    assert "http:" not in page
    assert "https:" not in page


@every_report
def test_what_is_referred_to_is_there_once(name: str) -> None:
    page = page_of(name)
    elements = Elements(page).found
    ids = [value for _, attributes in elements if (value := attributes.get("id"))]
    assert len(ids) == len(set(ids))
    used = {*re.findall(r'href="#([^"]+)"', page), *re.findall(r"url\(#([^)]+)\)", page)}
    used |= {one for named in re.findall(r'aria-labelledby="([^"]+)"', page) for one in named.split()}
    assert used <= set(ids)


@every_report
def test_the_same_report_is_the_same_page(name: str) -> None:
    assert html(REPORTS[name]) == page_of(name)


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
    point = benchmark_report().points[0].model_copy(update={"outcome": "failed", "reason": HOSTILE, "code": HOSTILE})
    page += html(benchmark_report(model_name=HOSTILE, points=[point, *benchmark_report().points], plan_why=HOSTILE))
    page += html(hostile_profile(HOSTILE))
    page += html(searched_report(HOSTILE))
    tags = {tag for tag, _ in Elements(page).found}
    assert not tags & {"script", "img"}
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10
    assert "<script" not in page
    assert "{{ 7*7 }}" in page, "a name is never read as a template"


def hostile_profile(name: str) -> ProfileReport:
    report = profile_of_two()
    nodes = [one.model_copy(update={"name": name, "op_type": name, "group": name}) for one in report.profile.nodes]
    kinds = [one.model_copy(update={"op_type": name}) for one in report.profile.operators[:1]]
    profile = report.profile.model_copy(update={"nodes": nodes, "operators": kinds, "model_name": name})
    groups = [one.model_copy(update={"group": name, "op_types": [name]}) for one in report.groups]
    return report.model_copy(update={"model_name": name, "profile": profile, "groups": groups, "why": name})


@pytest.mark.parametrize(
    "name",
    [
        r"$\frac{", "$x^2$", "</svg></title><b>", "]]><![CDATA[", "&amp;&#0;", "a" * 5000, "שלום עולם ‮gnp", "模型 🦀 é",
        "\x00\x1b\x7f\ufffe", "\n\n\t", "", "%s {0} {{x}}", "#070001",
    ],
)  # fmt: skip
def test_a_plot_takes_any_name_as_text(name: str) -> None:
    elements = Elements(html(hostile_profile(name)))
    assert elements.open == []
    assert "b" not in {tag for tag, attributes in elements.found if not attributes}


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


def test_what_was_found_beside_the_verdict_is_told() -> None:
    text = text_of(html(searched_report()))
    for fact in (
        "It is the limit on what may be lost: without it a candidate would do.",
        "graph_optimization loses 2.3 %, at most 1 % is allowed 2.3 times the limit",
        "block1/conv1 Conv 11.5 dB 16.2 dB −3.00…812 41.00× Few values stretch the range 41 times beyond the rest.",
        "QuantizeLinear QuantizeLinear 0 ms 0.812 ms",
        "x86 without VNNI ✗ no (worked out on 16 samples) 4.2 dB 0.2 % of the pairs saturate.",
        "Evaluation, input block1/conv1 : 12 of 1,400 samples stand twice. Keep one of each.",
        "64 0.9700 0.9200 1.0000",
    ):
        assert fact in text


def test_where_nothing_was_measured_the_page_says_so() -> None:
    text = text_of(html(without_data()))
    assert "Accuracy: there was no data to judge it on." in text
    assert "Speed on any other processor than AMD EPYC 9354P 32-Core Processor" in text
    assert "Energy." in text
    assert "Loss of" not in text
    assert "It is not recommended: its case is not proven." in text


def test_an_answer_from_an_earlier_search_says_so_and_how_to_ask_again() -> None:
    text = unescape(text_of(html(optimize_report(earlier="job_1"))))
    assert "in part by an earlier search" in text
    assert "--earlier earlier-report.json --seed 7" in text
    assert '"earlier": "EARLIER_JOB_ID"' in text
    assert "earlier" not in text_of(html(optimize_report()))


def test_memory_that_the_confirmation_alone_saw_is_not_said_to_be_unknown() -> None:
    report = optimize_report()
    without = {"memory_bytes": None, "memory": None}
    original, candidates = (
        report.baseline.model_copy(update={"selection": report.baseline.selection.model_copy(update=without)}),
        [one.model_copy(update={"selection": one.selection.model_copy(update=without)}) for one in report.candidates],
    )
    told = not_measured(optimize_report(baseline=original, candidates=candidates))
    assert "Memory of the models that show none." in told
    unknown = original.model_copy(update={"confirmation": None})
    none = [one.model_copy(update={"confirmation": None}) for one in candidates]
    assert "Memory." in not_measured(optimize_report(baseline=unknown, candidates=none))


def test_a_bound_that_is_held_to_more_than_was_asked_says_why() -> None:
    look = Confirmation(
        candidate="graph_optimization → static_int8",
        confidence=0.96,
        baseline=Measurements(),
        verdict="improved",
        why="",
    )
    kept = "Its bounds are held to 96 %, where 95 % was asked: a part of the chance to be wrong was kept"
    assert kept in text_of(html(optimize_report(confirmations=[look])))
    asked = look.model_copy(update={"confidence": 0.95})
    assert "was asked" not in text_of(html(optimize_report(confirmations=[asked])))


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
        "311&nbsp; (1) , 42&nbsp; (1) , 1033&nbsp; (1) , 7&nbsp; (0.5)",
        "1.24 MB against 4.84 MB.",
    ):
        assert fact in text


def test_a_benchmark_shows_every_point_and_why_some_are_missing() -> None:
    report = benchmark_report()
    text = text_of(html(report))
    for point in report.points:
        assert not point.reason or f"{point.batch_size} ! failed : {point.reason} ({point.code})" in text
        assert not point.samples_per_s or f"{point.batch_size} {significant(point.samples_per_s.value, 4)}" in text
    for fact in (
        "Highest throughput 4,107/s",
        "ONNX Runtime, 2 copies of one thread",
        "Knee of the fastest curve batch 24",
        "Largest batch within 70 MB 35",
        "batch 128 did not run",
        "2 copies, batches of up to 16, gathered for at most 2 ms",
        "p95 7.60 ms, 7.16 ms were foreseen (+6.2&nbsp;%); within the limit: ✓ yes",
        "p95 7.16 ms 7.60 ms",
        "a plan to serve 3,000 requests a second within a p95 of 10 ms",
    ):
        assert fact in text


def test_a_load_says_what_holds_and_what_is_short_of_the_rules() -> None:
    text = text_of(html(server_report()))
    for fact in (
        "server: the highest rate with p99 ≤ 10 ms, one copy, requests one by one",
        "MLPerf wants runs of 600 s and 270,336 queries",
        "1,750/s ✓ yes",
        "2,000/s ✗ no",
        "! failed : The queue grew without end. (step_timeout)",
        "What MLPerf would accept",
    ):
        assert fact in text


def test_a_plan_that_was_not_checked_says_so() -> None:
    report = benchmark_report()
    assert report.plan
    unchecked = report.plan.model_copy(
        update={"measured": None, "difference": None, "holds": None, "check_failed": "The load run crashed."}
    )
    text = text_of(html(benchmark_report(plan=unchecked)))
    assert "no: The load run crashed." in text
    assert "it was simulated, and not checked by a real load" in text


def test_a_profile_tells_nodes_operators_and_groups() -> None:
    report = profile_of_two()
    assert report.against
    text = text_of(html(report))
    for profile in (report.profile, report.against):
        assert all(one.name in text and one.op_type in text for one in profile.nodes)
    for fact in (
        "QLinearConv (INT8) block1/conv1",
        "measured before on the same kind of machine: 104 GFLOP/s in FP32, 410 GOP/s in INT8, 18.4 GB/s of memory",
        "image_QuantizeLinear QuantizeLinear; was nothing 0.00900 ms – –",
    ):
        assert fact in text


def test_a_comparison_tells_processor_time_and_how_likely_the_split_is() -> None:
    text = text_of(html(compare_report()))
    assert "In processor time: 1.85×, 1.83–1.87." in text
    assert "with a probability of 0.34 (exact McNemar test)" in text


def test_no_split_is_judged_where_no_sample_scores_otherwise() -> None:
    report = compare_report()
    assert report.measured.drop
    same = report.measured.drop.model_copy(update={"worse": 0, "better": 0, "p_value": 1.0})
    seen = report.measured.model_copy(update={"drop": same})
    assert "McNemar" not in text_of(html(report.model_copy(update={"measured": seen})))


def test_settings_are_told_where_they_are_not_the_usual_ones() -> None:
    assert text_of(html(optimize_report())).count("ONNX Runtime, spinning off, arena off") == 1


def test_it_can_be_done_again_here_and_on_a_server() -> None:
    page = html(server_report())
    text = unescape(text_of(page))
    assert "enxuto benchmark digits.onnx --scenario server --latency-ms 10 --percentile 99 --duration 10" in text
    body = json.loads(text[text.index("<<'JSON' ") + 9 : text.index(" JSON ", text.index("<<'JSON' ") + 9)])
    assert body["scenario"] == {"kind": "server", "latency_ms": 10.0}
