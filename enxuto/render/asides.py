"""What a search found beside its verdict, in lines for a terminal: what stands in the way, which layers are to blame,
other processors, and the data."""

from __future__ import annotations

from collections.abc import Iterator

from enxuto import words
from enxuto.report import Candidate, OptimizeReport
from enxuto.steps import DataHealth, Portability

_PROCESSORS = {"x86_vnni": "x86 with VNNI", "x86_avx2": "x86 without VNNI", "arm": "ARM"}
_MOST_LAYERS = 3


def asides(report: OptimizeReport) -> Iterator[tuple[str, str]]:
    """A short heading and a sentence or two each."""
    if report.blocking:
        yield "in the way", words.blocking_words(report.blocking)
    for one in report.nearest:
        by = f" ({words.shortfall(one.short_by)})" if one.short_by else ""
        yield f"nearest, {one.name}", f"{'; '.join(one.misses)}{by}."
    for candidate in report.candidates:
        yield from _to_blame(candidate)
    if report.portability:
        yield from _elsewhere(report.winner or report.unproven or "the best", report.portability)
    if report.data:
        yield from _data(report.data)


def _to_blame(one: Candidate) -> Iterator[tuple[str, str]]:
    if one.diagnosis and one.diagnosis.layers:
        layers = ", ".join(
            f"{layer.name} ({layer.operator}{_lost(layer.lost_db)})" for layer in one.diagnosis.layers[:_MOST_LAYERS]
        )
        yield f"{one.name} loses most at", f"{layers}. {one.diagnosis.layers[0].advice}"
    if one.slower:
        operators = ", ".join(
            f"{each.name} ({words.milliseconds(each.before_us / 1e3)} → {words.milliseconds(each.after_us / 1e3)})"
            for each in one.slower[:_MOST_LAYERS]
        )
        yield f"{one.name} is slower at", f"{operators}."


def _lost(lost_db: float | None) -> str:
    """Nothing where the error is no worse behind a layer than before it."""
    return f", −{words.decibels(lost_db)}" if lost_db and lost_db > 0 else ""


def _elsewhere(name: str, found: Portability) -> Iterator[tuple[str, str]]:
    for one in found.processors:
        if one.method != "measured":
            holds = {True: "holds its accuracy", False: "does not hold its accuracy", None: "not known"}[one.holds]
            yield f"{name} on {_PROCESSORS[one.processor]}", f"{holds}. {one.why}"


def _data(health: DataHealth) -> Iterator[tuple[str, str]]:
    for one in health.findings:
        yield f"data, {one.role if one.role != 'both' else 'both roles'}", f"{one.detail} {one.hint}"
