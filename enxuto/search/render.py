"""The plan that turns a report into what people look at and what programs take away."""

from __future__ import annotations

from dataclasses import dataclass

from enxuto.schema import Digest
from enxuto.search.plan import Plan, PlanFailed, Progress, Task, found
from enxuto.steps import Failed, Rendered, RenderReport


@dataclass(frozen=True)
class RenderedReport:
    page: Digest
    """The HTML page."""
    delivered: dict[str, Digest]
    """Files for programs, by the name that they are delivered under."""


def render_report(report: Digest) -> Plan[RenderedReport]:
    """Takes the digest of the report's JSON."""
    reply = yield Task(RenderReport(report=report), Progress("render", "rendering the report", 0.99))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    rendered, files = found(reply.outcome, Rendered), reply.outcome.files
    return RenderedReport(files[rendered.file], {name: files[path] for name, path in rendered.delivered_files.items()})
