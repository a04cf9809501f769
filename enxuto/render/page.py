"""The report as one self-contained HTML page: no network, no script, readable in any browser and on paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

import jinja2

from enxuto import words
from enxuto.deliver import files_of
from enxuto.render.gaps import not_measured
from enxuto.render.illustrate import benchmark_drawings, compare_drawings, optimize_drawings, profile_drawings
from enxuto.render.load import benchmark_facts, profile_facts
from enxuto.render.plots import bars
from enxuto.render.purposes import purposes
from enxuto.render.repeat import CALIBRATION, EVALUATION, repeat_http, repeat_line
from enxuto.render.rows import headline, rows
from enxuto.render.sides import sides
from enxuto.report import BenchmarkReport, CompareReport, OptimizeReport, ProfileReport, Report, ReportAdapter
from enxuto.schema import Digest
from enxuto.settings import DEFAULT_SETTINGS
from enxuto.steps import Rendered, RenderReport

FILE, DELIVERED = "report.html", "delivered"


def render_report(step: RenderReport, files: Mapping[Digest, Path], out: Path) -> Rendered:
    """Write ``report.html``, and what programs take away. Raises pydantic's ValidationError where the file is no report
    of this version."""
    report = ReportAdapter.validate_json(files[step.report].read_bytes())
    (out / FILE).write_text(html(report), encoding="utf-8")
    delivered = out / DELIVERED
    delivered.mkdir()
    for name, text in files_of(report).items():
        (delivered / name).write_text(text, encoding="utf-8")
    return Rendered(file=FILE, delivered_files={name: f"{DELIVERED}/{name}" for name in files_of(report)})


def html(report: Report) -> str:
    facts = {
        "report": report,
        "gaps": not_measured(report),
        "repeat": repeat_line(report),
        "repeat_http": repeat_http(report),
        "delivered": purposes(files_of(report)),
        "stand_ins": {"evaluation": EVALUATION, "calibration": CALIBRATION},
    }
    return _template(f"{report.kind}.html").render(facts, **_own_facts(report))


def _own_facts(report: Report) -> dict[str, object]:
    """What only pages of this kind show."""
    match report:
        case OptimizeReport():
            found = rows(report)
            return {
                "rows": found,
                "headline": headline(report),
                "bars": bars(report, found),
                "drawings": optimize_drawings(report, found),
            }
        case CompareReport():
            usual = DEFAULT_SETTINGS[report.workload.runtimes[0]]
            return {"sides": sides(report), "usual": usual, "drawings": compare_drawings(report)}
        case BenchmarkReport():
            return {**benchmark_facts(report), "drawings": benchmark_drawings(report)}
        case ProfileReport():
            return {**profile_facts(report), "drawings": profile_drawings(report)}
        case _:
            assert_never(report)


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("enxuto.render"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["w"] = words
    return environment.get_template(name)
