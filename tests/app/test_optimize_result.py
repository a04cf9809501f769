"""What a search hands back over HTTP: every look at the samples that prove, with what it was held to."""

from __future__ import annotations

from app.core.results.optimize import optimize_result
from enxuto.report import Confirmation, Measurements
from tests.support.reports import optimize_report


def test_each_look_stands_in_the_result_beside_what_was_seen_of_its_candidate() -> None:
    report = optimize_report()
    name = "graph_optimization → static_int8"
    looks = [
        Confirmation(
            candidate="graph_optimization", confidence=0.96, baseline=Measurements(), verdict="inconclusive", why="No."
        ),
        Confirmation(
            candidate=name, confidence=0.99, baseline=report.baseline.selection, verdict="improved", why="Yes."
        ),
    ]
    result = optimize_result(report.model_copy(update={"confirmations": looks}))
    told = [(each.candidate, each.confidence, each.verdict, each.why) for each in result.confirmations]
    assert told == [("graph_optimization", 0.96, "inconclusive", "No."), (name, 0.99, "improved", "Yes.")]
    beside = result.confirmations[1].baseline.latency
    assert beside is not None
    assert beside.p50_ms == report.baseline.selection.latency.p50_ms  # type: ignore[union-attr]
    assert next(each for each in result.candidates if each.name == name).confirmation is not None
