"""The plan that turns a report into a page."""

from __future__ import annotations

from enxuto.schema import Digest
from enxuto.search.plan import Plan, PlanFailed, Progress, Task, found
from enxuto.steps import Failed, Rendered, RenderReport


def render_report(report: Digest) -> Plan[Digest]:
    """Returns the digest of the HTML page."""
    reply = yield Task(RenderReport(report=report), Progress("render", "rendering the report", 0.99))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    return reply.outcome.files[found(reply.outcome, Rendered).file]
