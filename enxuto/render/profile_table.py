"""A profile in a terminal: where the time goes by operator, by node, and beside another model."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from enxuto import words
from enxuto.report import ProfiledModel, ProfileReport
from enxuto.steps import Peaks

_MOST_NODES = 12
_MOST_OPERATORS = 12
_MOST_GROUPS = 12
_BOUND_WORDS = {"compute": "computing", "memory": "memory", None: ""}


def profile_parts(report: ProfileReport) -> Iterator[RenderableType]:
    """What was found, in the order in which a person asks for it; a gap between one part and the next."""
    for profiled in (report.profile, report.against):
        if profiled:
            yield _call(profiled)
            yield _operators(profiled)
    yield _nodes(report.profile)
    if report.groups:
        yield _groups(report)
    yield Text(_peaks(report.peaks, measured_before=report.peaks_measured_before), style="dim")


def _call(profiled: ProfiledModel) -> Text:
    who, call = (
        f"{profiled.model_name}, {words.settings_words(profiled.settings)}",
        words.milliseconds(profiled.call_ms),
    )
    recording = max(profiled.recorded_ms / profiled.call_ms - 1, 0)
    return Text(_plain(f"{who}: {call} a call, {100 * recording:.0f} % more while nodes are timed."))


def _operators(profiled: ProfiledModel) -> Table:
    table = _table("operator", "nodes", "time", "share", "of peak")
    for one in profiled.operators[:_MOST_OPERATORS]:
        cells = [str(one.count), words.milliseconds(one.ms), _percent(one.share), _percent(one.of_peak)]
        table.add_row(Text(one.op_type), *map(_text, cells))
    _rest(table, len(profiled.operators) - _MOST_OPERATORS, "operators")
    return table


def _nodes(profiled: ProfiledModel) -> Table:
    table = _table("slowest nodes", "operator", "time", "share", "ops/byte", "10⁹ ops/s", "GB/s", "bound by", "of peak")
    slowest = sorted(profiled.nodes, key=lambda node: -node.ms)
    for one in slowest[:_MOST_NODES]:
        numbers = [_number(one.intensity), _number(one.gops), _number(one.gb_s)]
        cells = [one.op_type, words.milliseconds(one.ms), _percent(one.share), *numbers, _BOUND_WORDS[one.bound]]
        table.add_row(_text(_short(one.name)), *map(_text, cells), _text(_percent(one.of_peak)))
    _rest(table, len(slowest) - _MOST_NODES, "nodes")
    return table


def _groups(report: ProfileReport) -> Table:
    against = report.against.model_name if report.against else ""
    table = _table("same work", _short(report.profile.model_name), _short(against), "speedup")
    for one in report.groups[:_MOST_GROUPS]:
        speedup = "–" if one.speedup is None else words.factor(one.speedup)
        cells = [words.milliseconds(one.ms), words.milliseconds(one.against_ms), speedup]
        table.add_row(_text(_short(one.group)), *map(_text, cells))
    _rest(table, len(report.groups) - _MOST_GROUPS, "groups")
    return table


def _peaks(peaks: Peaks, *, measured_before: bool) -> str:
    threads = "1 thread" if peaks.threads == 1 else f"{peaks.threads} threads"
    when = "measured before on this kind of machine" if measured_before else "measured just now"
    return (
        f"At most, with {threads} ({when}): {words.significant(peaks.fp32_gflops)}·10⁹ FP32 and "
        f"{words.significant(peaks.int8_gops)}·10⁹ INT8 operations a second, "
        f"{words.significant(peaks.bandwidth_gb_s)} GB/s from memory."
    )


def _rest(table: Table, count: int, what: str) -> None:
    if count > 0:
        table.add_row(Text(f"… {count} more {what} in the report", style="dim"))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else words.significant(value)


def _short(name: str) -> str:
    """The end of a long name tells nodes apart."""
    return name if len(name) <= 40 else f"…{name[-39:]}"


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for position, heading in enumerate(headings):
        left = position == 0 or heading in ("operator", "bound by")
        table.add_column(heading, justify="left" if left else "right", no_wrap=bool(position), overflow="fold")
    return table


def _text(cell: str) -> Text:
    return Text(_plain(cell))


def _plain(text: str) -> str:
    """With common spaces, so that what is copied out of a terminal can be searched."""
    return text.replace(words.SPACE, " ")
