"""The report as a person sees it: in a real browser, wide and narrow, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from enxuto.render.page import html
from enxuto.report import CompareReport, OptimizeReport
from tests.support import reports

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
REPORTS = {"optimize": reports.optimize_report(), "compare": reports.compare_report()}


@pytest.fixture(params=sorted(REPORTS))
def report(request: pytest.FixtureRequest) -> OptimizeReport | CompareReport:
    found: OptimizeReport | CompareReport = REPORTS[request.param]
    return found


def show(page: Page, report: OptimizeReport | CompareReport, folder: Path) -> list[str]:
    """Open the report from a file; returns what it asked for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    path = folder / "report.html"
    path.write_text(html(report), encoding="utf-8")
    page.goto(path.as_uri())
    return asked


def test_it_asks_for_nothing_but_itself(page: Page, report: OptimizeReport | CompareReport, tmp_path: Path) -> None:
    assert show(page, report, tmp_path) == [(tmp_path / "report.html").as_uri()]


def test_it_opens_with_the_verdict(page: Page, report: OptimizeReport | CompareReport, tmp_path: Path) -> None:
    show(page, report, tmp_path)
    assert report.why in page.inner_text("body")
    box = page.locator("h1").bounding_box()
    assert box
    assert box["y"] < 300


def test_a_narrow_screen_does_not_scroll_sideways(
    page: Page, report: OptimizeReport | CompareReport, tmp_path: Path
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    show(page, report, tmp_path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_every_candidate_has_a_row(page: Page, tmp_path: Path) -> None:
    report = REPORTS["optimize"]
    assert isinstance(report, OptimizeReport)
    show(page, report, tmp_path)
    text = page.inner_text("body")
    assert [candidate.name for candidate in report.candidates if candidate.name not in text] == []


def test_the_plots_are_seen(page: Page, tmp_path: Path) -> None:
    show(page, REPORTS["optimize"], tmp_path)
    boxes = [box for plot in page.locator("svg").all() if (box := plot.bounding_box())]
    assert len([box for box in boxes if box["width"] > 200 and box["height"] > 50]) >= 2
