"""Plots are text that anybody can read: in the page's colours, without colour, in any order of drawing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from enxuto.render.figures import batching, latency
from enxuto.render.figures.latency import Timed
from enxuto.render.figures.memory import parts
from enxuto.render.figures.palette import VARIABLES
from enxuto.render.illustrate import (
    Drawings,
    benchmark_drawings,
    compare_drawings,
    optimize_drawings,
    profile_drawings,
)
from enxuto.render.rows import rows
from enxuto.settings import OnnxRuntimeSettings
from enxuto.steps import Histogram
from tests.support import reports


def drawings() -> Drawings:
    optimized = reports.optimize_report()
    return {
        **optimize_drawings(optimized, rows(optimized)),
        **benchmark_drawings(reports.benchmark_report()),
        **benchmark_drawings(reports.server_report()),
        **profile_drawings(reports.profile_of_two()),
    }


FOUND = drawings()
each = pytest.mark.parametrize("name", FOUND)


def parsed(name: str) -> ElementTree.Element:
    return ElementTree.fromstring(str(FOUND[name].svg))  # noqa: S314 - our own


@each
def test_every_colour_is_the_pages_own(name: str) -> None:
    text = str(FOUND[name].svg)
    assert set(re.findall(r"(?:fill|stroke|color)[:=]\s*\"?([^;\"]+)", text)) <= {
        "none", *VARIABLES.values(), *re.findall(r"url\(#[\w-]+\)", text)
    }  # fmt: skip
    assert not re.findall(r"#[0-9a-f]{6}\b", text)


@each
def test_a_plot_is_told_to_those_who_do_not_see_it(name: str) -> None:
    root = parsed(name)
    assert root.get("role") == "img"
    title, description = root.find("title"), root.find("desc")
    assert title is not None
    assert title.text == FOUND[name].title
    assert description is not None
    assert re.search(r"\d", description.text or ""), "numbers, not only what kind of plot it is"


@each
def test_text_stays_text_and_brings_no_font(name: str) -> None:
    root = parsed(name)
    assert [one.text for one in root.iter("text")]
    assert "font-family" not in str(FOUND[name].svg)
    assert "<style" not in str(FOUND[name].svg)


def test_every_kind_of_report_has_its_plots() -> None:
    assert set(FOUND) == {
        "size", "loss", "histograms", "over_time", "memory", "throughput", "call_time", "memory_batch", "distribution",
        "over_rate", "plan_latency", "plan_batches", "operators", "roofline", "against_roofline", "groups",
    }  # fmt: skip
    assert set(compare_drawings(reports.compare_report())) == {"histograms", "over_time", "memory"}
    bare = reports.without_data()
    assert "loss" not in optimize_drawings(bare, rows(bare))


def test_a_tip_stands_on_the_point_of_each_candidate() -> None:
    tips = {one.text for one in parsed("size").iter("title")}
    timed = [row for row in rows(reports.optimize_report()) if row.role == "candidate" and row.seen.speedup]
    assert {f"{row.number} {row.name}" for row in timed} <= tips


def test_lines_differ_in_more_than_colour() -> None:
    root = parsed("call_time")
    dashes = {re.sub(r".*stroke-dasharray: ([^;]+).*", r"\1", style) for one in root.iter("path")
              if "stroke: var(--s" in (style := one.get("style", "")) and "stroke-width: 1.8" in style}  # fmt: skip
    assert len(dashes) == len(batching.curves(reports.benchmark_report()))


def test_more_ways_than_can_be_told_apart_leave_the_fastest() -> None:
    points = [
        point
        for threads in range(1, 9)
        for point in (
            one.model_copy(update={"threads": threads})
            for one in reports.curve(OnnxRuntimeSettings(), 1, 1000.0 * threads, 0.7)
        )
    ]
    found = batching.curves(reports.benchmark_report(points=points, knees=[]))
    assert [one.points[0].threads for one in found] == [3, 4, 5, 6, 7, 8]


def test_parts_of_the_memory_sum_up_to_its_peak() -> None:
    use = reports.memory_use(62_300_000)
    assert sum(parts(use).values()) == use.peak_bytes
    untold = use.model_copy(update={"weights_bytes": None, "arena_bytes": None})
    assert parts(untold) == {"runtime": 41_200_000, "weights": 0, "arena": 0, "rest": 21_100_000}


def test_a_histogram_of_one_bin_and_a_load_of_one_block_are_drawn() -> None:
    one = reports.latency(0.5, calls=3).model_copy(
        update={"histogram": Histogram(edges_ms=[0.5, 0.5000001], counts=[3]), "block_medians_ms": [[0.5]]}
    )
    models = [Timed("a", one), Timed("b", one)]
    assert "<svg" in latency.histograms(models).svg
    assert "<svg" in latency.over_time(models, [1.0], None, 0.03, [None]).svg


def test_the_fonts_of_the_machine_are_left_alone(tmp_path: Path) -> None:
    program = (
        "import matplotlib, enxuto.render.figures.canvas, matplotlib.font_manager as fonts;"
        "own = matplotlib.get_data_path();"
        "found = [one.fname for one in fonts.fontManager.ttflist];"
        "print(len(found), [one for one in found if not one.startswith(own) and one.startswith('/')])"
    )
    environment = {**os.environ, "MPLCONFIGDIR": str(tmp_path), "PATH": ""}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=60)
    assert ran.returncode == 0, ran.stderr
    count, _, others = ran.stdout.strip().partition(" ")
    assert int(count) > 0
    assert others == "[]"
