"""A comparison as its four sides: speed, accuracy, memory, size."""

from __future__ import annotations

from dataclasses import dataclass, replace

from enxuto.render.plots import Column, drop_column, factor_bar, factor_column
from enxuto.render.scale import Bar, bar, drop_scale, factor_scale
from enxuto.report import Axis, CompareReport
from enxuto.words import drop_size, factor, interval, limit_percent


@dataclass(frozen=True)
class Side:
    name: str
    reads: str
    """What the number is, and which way is better."""
    asked: str
    """The threshold; empty where none was given."""
    axis: Axis
    number: str
    interval: str
    bar: Bar | None
    column: Column | None
    beside: str = ""
    """Another number that says the same in another way."""


def sides(report: CompareReport) -> list[Side]:
    found = [_speed(report)]
    if report.accuracy:
        found.append(_accuracy(report, report.accuracy))
    asked = report.request.thresholds
    found.append(
        _ratio(report, "Memory", "peak resident memory, new over reference", report.memory, asked.max_memory_ratio)
    )
    return [*found, _ratio(report, "Size", "file size, new over reference", report.size, asked.max_size_ratio)]


def _speed(report: CompareReport) -> Side:
    asked = report.request.thresholds.min_speedup
    words = "" if asked is None else f"at least {asked:g}×"
    loads = report.measured.load_ratios
    side = _factor_side(
        report, "Speed", "reference's time over the new model's; more is faster", words, report.speed, loads
    )
    cpu = report.measured.cpu_speedup
    return replace(side, beside=f"In processor time: {factor(cpu.value)}, {interval(cpu)}.") if cpu else side


def _ratio(report: CompareReport, name: str, reads: str, axis: Axis, asked: float | None) -> Side:
    words = "" if asked is None else f"at most {asked:g}×"
    return _factor_side(report, name, f"{reads}; less is leaner", words, axis, [])


def _factor_side(report: CompareReport, name: str, reads: str, asked: str, axis: Axis, loads: list[float]) -> Side:
    if axis.estimate is None:
        return Side(name, reads, asked, axis, "–", "", None, None)
    one = axis.estimate
    ratios = [other.estimate for other in (report.speed, report.memory, report.size) if other.estimate]
    scale = factor_scale(ratios, report.margin, report.measured.load_ratios)
    exact = one.low == one.high
    return Side(
        name, reads, asked, axis, factor(one.value), "" if exact else interval(one),
        factor_bar(scale, one, loads), factor_column(scale, report.margin),
    )  # fmt: skip


def _accuracy(report: CompareReport, axis: Axis) -> Side:
    limit, drop = report.request.thresholds.max_drop, report.measured.drop
    asked = ""
    if limit:
        asked = f"at most {limit_percent(limit.value) if limit.relative else f'{limit.value:.4g}'} lost"
    reads = f"loss of {report.metric_name}; less is better"
    if drop is None:
        return Side("Accuracy", reads, asked, axis, "–", "", None, None)
    scale = drop_scale([drop], limit.value if limit else None)
    return Side(
        "Accuracy", reads, asked, axis, drop_size(drop.value, drop.relative),
        f"{drop_size(drop.low, drop.relative)} to {drop_size(drop.high, drop.relative)}",
        bar(scale, drop.value, drop.low, drop.high), drop_column(scale, [drop], limit.value if limit else None),
    )  # fmt: skip
