"""A benchmark in a terminal: the points of its curves, its runs, its serving plan."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from enxuto import words
from enxuto.report import BenchmarkReport, Knee, Point, Run, ServingPlan
from enxuto.steps import Estimate, LatencyProfile


def benchmark_parts(report: BenchmarkReport) -> Iterator[RenderableType]:
    """What was found, in the order in which a person asks for it; a gap between one part and the next."""
    if report.points:
        yield _points(report)
    for lines in ([knee.detail for knee in report.knees], [largest.detail for largest in report.largest_batches]):
        if lines:
            yield Text("\n".join(dict.fromkeys(map(_plain, lines))))
    if report.runs:
        yield _runs(report.runs)
    if report.scenario and report.scenario.detail not in report.why:
        yield Text(_plain(report.scenario.detail))
    if report.plan:
        yield _plan(report.plan)


def _points(report: BenchmarkReport) -> Table:
    table = _table("", "run by", "batch", "samples/s", "p50", "p95", "memory", "")
    before: str | None = None
    for point in report.points:
        way = words.way_words(point.settings, point.threads, point.instances)
        is_knee = any(_at_knee(point, knee) for knee in report.knees)
        cells = [
            "◆" if is_knee else "", way if way != before else "", str(point.batch_size), _rate(point.samples_per_s),
            words.milliseconds(point.p50_ms), words.milliseconds(point.p95_ms), words.size(point.memory_bytes),
        ]  # fmt: skip
        table.add_row(*map(_text, cells), _remark(point, knee=is_knee), style="bold" if is_knee else "")
        before = way
    return table


def _at_knee(point: Point, knee: Knee) -> bool:
    way = (point.settings, point.threads, point.instances, point.batch_size)
    return way == (knee.settings, knee.threads, knee.instances, knee.batch_size)


def _rate(per_s: Estimate | None) -> str:
    if per_s is None:
        return "–"
    low, high = words.significant(per_s.low), words.significant(per_s.high)
    return f"{words.significant(per_s.value)} [{low}–{high}]"


def _remark(point: Point, *, knee: bool) -> Text:
    if point.outcome == "measured":
        return Text(", ".join(filter(None, ["knee" if knee else "", _plain(point.reason)])))
    return Text(f"{point.outcome}: {_plain(point.reason)}", style="red" if point.outcome == "failed" else "dim")


def _runs(runs: list[Run]) -> Table:
    table = _table("asked/s", "answered/s", "p50", "p95", "p99", "asked percentile", "batch", "busy", "")
    for run in runs:
        found = run.found
        asked = "one by one" if run.rate_per_s is None else words.significant(run.rate_per_s)
        if found is None:
            table.add_row(_text(asked), *[Text("–")] * 7, Text(f"failed: {_plain(run.reason)}", style="red"))
            continue
        calls = sum(one.count for one in found.batches)
        mean_batch = sum(one.size * one.count for one in found.batches) / calls if calls else 0.0
        cells = [
            asked, words.significant(found.queries_per_s), *_percentiles(found.latency),
            words.milliseconds(run.percentile_ms), words.significant(mean_batch), _percent(found.utilization),
        ]  # fmt: skip
        table.add_row(*map(_text, cells), _holds(run.holds))
    return table


def _holds(holds: bool | None) -> Text:
    return Text(
        {True: "✓ holds", False: "✗ does not hold", None: ""}[holds], style="bold red" if holds is False else ""
    )


def _plan(plan: ServingPlan) -> Table:
    table = _table("serving plan", "requests/s", "p50", "p95", "p99", "busy", "memory", "")
    way = f"{words.way_words(plan.settings, plan.threads, 1)}; {words.batching_words(plan.batching)}"
    simulated, measured = plan.simulated, plan.measured
    cells = [words.significant(simulated.rate_per_s), *_percentiles(simulated.latency)]
    memory = words.size(plan.memory_bytes)
    table.add_row(*map(_text, ["simulated", *cells, _percent(simulated.utilization), memory]), _text(way))
    if measured is None:
        table.add_row(Text("measured"), *[Text("–")] * 6, Text(_plain(plan.check_failed), style="red"))
        return table
    cells = [words.significant(measured.queries_per_s), *_percentiles(measured.latency)]
    told = _holds(plan.holds)
    if plan.difference is not None:
        quiet = measured.quiet
        where = f" in quiet moments ({_percent(quiet.share)})" if quiet and quiet.simulated_p95_ms else ""
        told.append(f", p95 {_signed(plan.difference)} of what was simulated{where}", style="default not bold")
    found = ["measured", *cells, _percent(measured.utilization), words.size(measured.peak_bytes)]
    table.add_row(*map(_text, found), told)
    return table


def _percentiles(latency: LatencyProfile) -> list[str]:
    return [words.milliseconds(value) for value in (latency.p50_ms, latency.p95_ms, latency.p99_ms)]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _signed(share: float) -> str:
    return f"{100 * share:+.0f} %".replace("-", "−")


def _table(*headings: str) -> Table:
    """Words to the left, numbers to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for position, heading in enumerate(headings):
        text = heading in ("run by", "serving plan") or position == len(headings) - 1 or not heading
        table.add_column(heading, justify="left" if text else "right", no_wrap=not text, overflow="fold")
    return table


def _text(cell: str) -> Text:
    return Text(_plain(cell))


def _plain(text: str) -> str:
    """With common spaces, so that what is copied out of a terminal can be searched."""
    return text.replace(words.SPACE, " ")
