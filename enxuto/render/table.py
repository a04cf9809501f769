"""A report in a terminal: one table, then the verdict in a sentence. The command line and the demo print the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from enxuto import words
from enxuto.render.asides import asides
from enxuto.render.benchmark_table import benchmark_parts
from enxuto.render.profile_table import profile_parts
from enxuto.render.rows import Row, rows
from enxuto.render.sides import Side, sides
from enxuto.report import (
    BenchmarkReport,
    CompareReport,
    OptimizeReport,
    Outcome,
    ProfileReport,
    Report,
    Verdict,
)
from enxuto.steps import Drop

_OUTCOME_STYLES: dict[Outcome, str] = {
    "feasible": "green",
    "infeasible": "yellow",
    "not_applicable": "dim",
    "failed": "red",
    "duplicate": "dim",
    "skipped": "dim",
}
_VERDICT_STYLES: dict[Verdict, str] = {
    "improved": "bold green",
    "no_gain": "bold",
    "regressed": "bold red",
    "inconclusive": "bold yellow",
}
_GIVES_WAY = {"p50": 117, "SQNR": 97, "metric": 87}
"""Columns of a terminal below which a column of the table gives way."""


def print_report(report: Report, console: Console) -> None:
    console.print(results(report, console.width))


def results(report: Report, width: int) -> RenderableType:
    """What a person wants to see of a report, for a terminal of so many columns."""
    if isinstance(report, BenchmarkReport):
        return _measured(benchmark_parts(report), report)
    if isinstance(report, ProfileReport):
        return _measured(profile_parts(report), report)
    if isinstance(report, OptimizeReport):
        table, told = _optimize_table(report, width), _reasons(report)
    else:
        table, told = _compare_table(report), []
    lines = [Padding(line, (0, 0, 0, 3), expand=False) for line in told]
    gap = [Text()] if lines else []
    return Group(table, *gap, *lines, Text(), _verdict(report), Text(_conditions(report), style="dim"))


def _measured(parts: Iterable[RenderableType], report: BenchmarkReport | ProfileReport) -> RenderableType:
    told = _plain(report.why)
    if isinstance(report, BenchmarkReport):
        told.append(f" (Stopped early: {report.stopped}.)" if report.stopped else "")
    spaced = [line for part in parts for line in (part, Text())]
    return Group(*spaced, told, Text(_conditions(report), style="dim"))


def _optimize_table(report: OptimizeReport, width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", width=1)
    table.add_column("candidate", overflow="fold", min_width=14)
    for heading in _headings(report, width):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    for row in rows(report):
        cells = _numbers(row)
        table.add_row(
            _mark(row),
            Text(_name(row)),
            *(_plain(cells[heading]) for heading in _headings(report, width)),
            _outcome(row),
            style="bold" if row.winner else "",
        )
    return table


def _mark(row: Row) -> str:
    if row.role == "confirmation":
        return ""
    return "★" if row.winner else "?" if row.unproven else "◆" if row.pareto else ""


def _name(row: Row) -> str:
    if row.role != "confirmation":
        return row.name
    return "  confirmed" if row.winner else "  not confirmed"


def _headings(report: OptimizeReport, width: int) -> list[str]:
    shown = ["speedup", "p50", "size", "metric", "drop [≤]", "SQNR"]
    if report.metric is None:
        shown = ["speedup", "p50", "size"]
    return [heading for heading in shown if width >= _GIVES_WAY.get(heading, 0)]


def _numbers(row: Row) -> dict[str, str]:
    seen = row.seen
    return {
        "speedup": f"{words.factor(seen.speedup.value)} [{words.interval(seen.speedup)}]" if seen.speedup else "–",
        "p50": words.milliseconds(seen.latency.p50_ms if seen.latency else None),
        "size": words.size(row.size_bytes),
        "metric": words.metric_value(seen.metric) + "*" * row.first_look,
        "drop [≤]": _drop(seen.drop) if seen.drop else "–",
        "SQNR": "–" if seen.fidelity is None else words.decibels(seen.fidelity.sqnr_db),
    }


def _drop(drop: Drop) -> str:
    return f"{words.drop_size(drop.value, drop.relative)} [{words.drop_size(drop.high, drop.relative)}]"


def _outcome(row: Row) -> Text:
    if row.role == "confirmation":
        held_to = f", {words.limit_percent(row.held_to)}" if row.held_to else ""
        return _plain((f"{row.seen.samples:,} new samples" if row.seen.samples else "new loads") + held_to)
    if row.outcome is None:
        return Text("")
    return Text(words.OUTCOME_WORDS[row.outcome], style=_OUTCOME_STYLES[row.outcome])


def _reasons(report: OptimizeReport) -> list[Text]:
    """Why candidates are not in question, each reason once, and what was found beside the verdict."""
    alike: dict[tuple[Outcome, str], list[str]] = {}
    for one in report.candidates:
        if one.reason:
            alike.setdefault((one.outcome, one.reason), []).append(one.name)
    return [
        Text.assemble((", ".join(names), "bold"), f" ({words.OUTCOME_WORDS[outcome]}): ", _plain(reason))
        for (outcome, reason), names in alike.items()
    ] + [Text.assemble((name, "bold"), ": ", _plain(told)) for name, told in asides(report)]


def _compare_table(report: CompareReport) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("side", "verdict", "asked", "holds", "estimate", "interval"):
        table.add_column(heading, justify="right" if heading == "estimate" else "left")
    for side in sides(report):
        table.add_row(*_side_cells(side))
    return table


def _side_cells(side: Side) -> Iterator[RenderableType]:
    verdict = side.axis.verdict
    yield side.name.lower()
    yield Text(f"{words.VERDICT_MARKS[verdict]} {words.VERDICT_WORDS[verdict]}", style=_VERDICT_STYLES[verdict])
    yield _plain(side.asked or "–")
    holds = {None: "–", True: "✓ yes", False: "✗ no"}[side.axis.passed]
    yield Text(holds, style="bold red" if side.axis.passed is False else "")
    yield _plain(side.number)
    yield _plain(side.interval)


def _verdict(report: OptimizeReport | CompareReport) -> Text:
    told = Text(f"{words.VERDICT_MARKS[report.verdict]} {words.VERDICT_WORDS[report.verdict]}")
    told.stylize(_VERDICT_STYLES[report.verdict])
    if isinstance(report, CompareReport):
        told.append("  ✓ passed" if report.passed else "  ✗ not passed", style="bold" if report.passed else "bold red")
    told.append(f": {_plain(report.why)}", style="default not bold")
    if isinstance(report, OptimizeReport) and report.stopped:
        told.append(f" (Stopped early: {report.stopped}.)", style="default not bold")
    return told


def _conditions(report: Report) -> str:
    legend = ""
    if isinstance(report, OptimizeReport):
        metric = f"; metric: {report.metric_name}" if report.metric else ""
        metric += ", * of a first look at fewer samples" if any(row.first_look for row in rows(report)) else ""
        marks = {"★ winner": any(row.winner for row in rows(report)), "◆ front": bool(report.pareto)}
        marks["? best unproven"] = any(row.unproven for row in rows(report))
        legend = f"{', '.join(mark for mark, there in marks.items() if there)}{metric}{_feasible(report)}. "
    where = (
        f"{_workload(report)}on {report.machine.processor}; {words.seconds(report.elapsed_s)} of work{_since(report)}."
    )
    return (legend + where[0].upper() + where[1:]).replace(words.SPACE, " ")


def _feasible(report: OptimizeReport) -> str:
    """What the word means, where a bound beyond the limit stands beside it."""
    seen = [one.selection.drop for one in report.candidates if one.outcome == "feasible"]
    limit = report.goal.max_drop if report.goal else None
    beyond = limit and any(drop.high > limit.value for drop in seen if drop)
    return "; feasible: by its estimate, the bound in brackets is for the confirmation to prove" if beyond else ""


def _since(report: Report) -> str:
    earlier = isinstance(report, OptimizeReport) and report.earlier
    return " since an earlier search, by which the rest was measured" if earlier else ""


def _workload(report: Report) -> str:
    """Batches, threads and runtimes of a benchmark stand in its tables."""
    match report:
        case BenchmarkReport():
            return ""
        case ProfileReport():
            return f"{words.conditions_words(report.workload)}, "
        case CompareReport():
            asked = [report.request.settings, report.request.against_settings]
            ran_by = dict.fromkeys(words.settings_words(settings) for settings in asked if settings)
            return f"{words.conditions_words(report.workload)}, {' against '.join(ran_by)}, "
        case _:
            return f"{words.workload_words(report.workload)}, "


def _plain(text: str) -> Text:
    """With common spaces, so that what is copied out of a terminal can be searched."""
    return Text(text.replace(words.SPACE, " "))
