"""An optimize report as rows: the original, every candidate, and the confirmation of those that had one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from enxuto.report import Candidate, Measurements, OptimizeReport, Outcome
from enxuto.settings import DEFAULT_SETTINGS
from enxuto.words import settings_words


@dataclass(frozen=True)
class Row:
    """One line of the table of results, on a page or in a terminal."""

    number: str
    """How plots refer to it."""
    name: str
    role: str
    """``original``, ``candidate`` or ``confirmation``."""
    seen: Measurements
    size_bytes: int | None
    outcome: Outcome | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()
    settings: str = ""
    """How its runtime is set up, where that is not what the original is run with."""
    winner: bool = False
    """Whether it is proven, and so recommended."""
    unproven: bool = False
    held_to: float | None = None
    """Of a confirmation: the confidence of its bounds."""
    pareto: bool = False
    first_look: bool = False
    """Whether it was seen on fewer samples than the original beside it, so that the two metrics do not compare."""


def rows(report: OptimizeReport) -> list[Row]:
    """A confirmation follows its candidate."""
    original = Row(
        number="0",
        name="original",
        role="original",
        seen=report.baseline.selection.model_copy(update={"speedup": None, "load_ratios": []}),
        size_bytes=report.model.size_bytes,
        pareto="original" in report.pareto,
    )
    return [original, *(row for number, one in enumerate(report.candidates, 1) for row in _rows(report, number, one))]


def _rows(report: OptimizeReport, number: int, one: Candidate) -> Iterator[Row]:
    size_bytes = one.model.size_bytes if one.model else None
    yield Row(
        number=str(number),
        name=one.name,
        role="candidate",
        seen=one.selection,
        size_bytes=size_bytes,
        outcome=one.outcome,
        reason=one.reason,
        notes=tuple(one.notes),
        settings=_settings(report, one),
        winner=one.name == proven(report),
        unproven=one.name in (report.unproven, report.winner) and one.name != proven(report) and _is_open(report),
        pareto=one.name in report.pareto,
        first_look=0 < one.selection.samples < report.baseline.selection.samples,
    )
    if one.confirmation:
        yield Row(
            number=str(number),
            name=one.name,
            role="confirmation",
            seen=one.confirmation,
            size_bytes=size_bytes,
            winner=one.name == proven(report),
            held_to=next((look.confidence for look in report.confirmations if look.candidate == one.name), None),
        )


def proven(report: OptimizeReport) -> str | None:
    """Name of the candidate that was proven to be better; a recipe is delivered whatever was seen of it."""
    return report.winner if report.verdict == "improved" else None


def _is_open(report: OptimizeReport) -> bool:
    return report.verdict == "inconclusive"


def _settings(report: OptimizeReport, one: Candidate) -> str:
    usual = DEFAULT_SETTINGS[report.workload.runtimes[0]]
    return "" if one.settings == usual or one.model is None else settings_words(one.settings)


@dataclass(frozen=True)
class Headline:
    """The two models that the first numbers speak of, seen on the same samples and loads."""

    name: str
    """Of the candidate."""
    called: str
    """``winner``, ``unproven``, or the ``outcome`` of a recipe that is known to be no better."""
    confirmed: bool
    before: Measurements
    after: Measurements
    after_bytes: int | None


def headline(report: OptimizeReport) -> Headline | None:
    """The winner; where there is none, the best candidate that could not be proven; else nothing."""
    name = report.winner or report.unproven
    one = next((candidate for candidate in report.candidates if candidate.name == name), None)
    if one is None:
        return None
    confirmed = one.confirmation is not None and report.baseline.confirmation is not None
    return Headline(
        name=one.name,
        called="winner" if proven(report) else "unproven" if _is_open(report) else "outcome",
        confirmed=confirmed,
        before=report.baseline.confirmation
        if confirmed and report.baseline.confirmation
        else report.baseline.selection,
        after=one.confirmation if confirmed and one.confirmation else one.selection,
        after_bytes=one.model.size_bytes if one.model else None,
    )
