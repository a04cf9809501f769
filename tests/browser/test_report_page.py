"""The report as a person sees it: in a real browser, wide and narrow, light and dark, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from enxuto.render.page import html
from enxuto.report import BenchmarkReport, OptimizeReport, ProfileReport, Report
from tests.support import reports

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
REPORTS: dict[str, Report] = {
    "optimize": reports.optimize_report(),
    "compare": reports.compare_report(),
    "benchmark": reports.benchmark_report(),
    "server": reports.server_report(),
    "profile": reports.profile_report(),
    "profile of two": reports.profile_of_two(),
}
OVERLAPS = """() => {
  const found = [];
  for (const plot of document.querySelectorAll('.plate svg')) {
    const boxes = [...plot.querySelectorAll('text')].filter(one => one.textContent.trim())
      .map(one => [one.textContent, one.getBoundingClientRect()]);
    for (let i = 0; i < boxes.length; i++) for (let j = 0; j < i; j++) {
      const [a, one] = boxes[i], [b, other] = boxes[j];
      const width = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const height = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      if (width > 3 && height > 0.4 * Math.min(one.height, other.height)) found.push(`${a} / ${b}`);
    }
  }
  return found;
}"""
CUT = """() => [...document.querySelectorAll('.plate svg')].flatMap(plot => {
  const frame = plot.getBoundingClientRect();
  return [...plot.querySelectorAll('text')].filter(one => {
    const box = one.getBoundingClientRect();
    return box.left < frame.left - 6 || box.right > frame.right + 6;
  }).map(one => one.textContent);
})"""


@pytest.fixture(params=sorted(REPORTS))
def report(request: pytest.FixtureRequest) -> Report:
    found: Report = REPORTS[request.param]
    return found


def show(page: Page, report: Report, folder: Path) -> list[str]:
    """Open the report from a file; returns what it asked for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    path = folder / "report.html"
    path.write_text(html(report), encoding="utf-8")
    page.goto(path.as_uri())
    return asked


def test_it_asks_for_nothing_but_itself(page: Page, report: Report, tmp_path: Path) -> None:
    assert show(page, report, tmp_path) == [(tmp_path / "report.html").as_uri()]


def test_it_opens_with_the_verdict(page: Page, report: Report, tmp_path: Path) -> None:
    show(page, report, tmp_path)
    assert report.why in page.inner_text("body")
    box = page.locator("h1").bounding_box()
    assert box
    assert box["y"] < 300


@pytest.mark.parametrize("width", [360, 390, 760, 1000])
def test_a_narrow_screen_does_not_scroll_sideways(page: Page, report: Report, tmp_path: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    show(page, report, tmp_path)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_candidate_has_a_row(page: Page, tmp_path: Path) -> None:
    report = REPORTS["optimize"]
    assert isinstance(report, OptimizeReport)
    show(page, report, tmp_path)
    text = page.inner_text("body")
    assert [candidate.name for candidate in report.candidates if candidate.name not in text] == []


def test_every_point_and_every_node_has_a_row(page: Page, tmp_path: Path) -> None:
    benchmark, profile = REPORTS["benchmark"], REPORTS["profile"]
    assert isinstance(benchmark, BenchmarkReport)
    assert isinstance(profile, ProfileReport)
    show(page, benchmark, tmp_path)
    assert page.locator(".ways tbody tr").count() == len(benchmark.points)
    show(page, profile, tmp_path)
    assert page.locator("th.node").count() == len(profile.profile.nodes)


def test_the_plots_are_seen(page: Page, report: Report, tmp_path: Path) -> None:
    show(page, report, tmp_path)
    plots = page.locator(".plate svg").all()
    assert len(plots) >= 2
    for plot in plots:
        box = plot.bounding_box()
        assert box
        assert box["width"] > 200
        assert box["height"] > 50


@pytest.mark.parametrize("width", [390, 1280])
def test_no_label_of_a_plot_lies_on_another_or_is_cut(page: Page, report: Report, tmp_path: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    show(page, report, tmp_path)
    assert page.evaluate(OVERLAPS) == []
    assert page.evaluate(CUT) == []


def test_plots_take_the_colours_of_light_and_dark(page: Page, report: Report, tmp_path: Path) -> None:
    colours = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        show(page, report, tmp_path)
        colours.append(page.evaluate("getComputedStyle(document.querySelector('.plate svg text')).fill"))
    light, dark = (sum(map(int, one.removeprefix("rgb(").removesuffix(")").split(","))) for one in colours)
    assert light < 400 < dark, "dark text on a light page, light text on a dark one"


def test_a_pointer_that_rests_on_a_candidate_is_told_its_name(page: Page, tmp_path: Path) -> None:
    report = REPORTS["optimize"]
    assert isinstance(report, OptimizeReport)
    show(page, report, tmp_path)
    tips = page.locator(".plate svg g > title").all_text_contents()
    assert f"1 {report.candidates[0].name}" in tips
