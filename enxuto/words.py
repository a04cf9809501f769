"""Numbers and requests in words, the same on a page, in a terminal and in a notebook.

A no-break space stands between a number and its unit.
"""

from __future__ import annotations

import math

from enxuto.goal import Goal, MaxDrop, Thresholds
from enxuto.report import Outcome, Verdict
from enxuto.steps import Drop, Estimate, HostNoise
from enxuto.workload import Workload

SPACE = "\u00a0"

VERDICT_WORDS: dict[Verdict, str] = {
    "improved": "improved",
    "no_gain": "no gain",
    "regressed": "regressed",
    "inconclusive": "inconclusive",
}
VERDICT_MARKS: dict[Verdict, str] = {"improved": "▲", "no_gain": "=", "regressed": "▼", "inconclusive": "?"}
OUTCOME_WORDS: dict[Outcome, str] = {
    "feasible": "feasible",
    "infeasible": "infeasible",
    "not_applicable": "not applicable",
    "failed": "failed",
    "duplicate": "duplicate",
    "skipped": "skipped",
}
OUTCOME_MARKS: dict[Outcome, str] = {
    "feasible": "✓",
    "infeasible": "✗",
    "not_applicable": "–",
    "failed": "!",
    "duplicate": "≡",
    "skipped": "…",
}


def unit(number: str, name: str) -> str:
    return f"{number}{SPACE}{name}"


def significant(value: float, digits: int = 3) -> str:
    """Three significant digits, without an exponent where that is short: 0.0824, 12.3, 1,234."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -6:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - magnitude)}f}"


def milliseconds(value: float | None) -> str:
    return "–" if value is None else unit(significant(value), "ms")


def size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "–"
    for power, name in ((9, "GB"), (6, "MB"), (3, "kB")):
        if size_bytes >= 10**power:
            return unit(significant(size_bytes / 10**power), name)
    return unit(str(size_bytes), "B")


def factor(value: float) -> str:
    """A ratio: 1.86×."""
    return f"{value:.2f}×" if abs(value) < 100 else f"{value:,.0f}×"


def percent(share: float) -> str:
    return unit(f"{100 * share:.2f}".replace("-", "−"), "%")


def limit_percent(share: float) -> str:
    """A share that a person typed, without zeros that they did not: 1 %, 0.5 %."""
    return unit(f"{100 * share:.4g}", "%")


def interval(estimate: Estimate) -> str:
    """A factor's interval: 1.81–1.92."""
    return f"{estimate.low:.2f}–{estimate.high:.2f}"


def share(value: float | None) -> str:
    return "–" if value is None else percent(value)


def noisy(noise: HostNoise) -> bool:
    """Whether so much else went on that numbers of this load deserve doubt."""
    return (noise.steal_share or 0.0) > 0.01 or (noise.pressure_share or 0.0) > 0.1


def metric_value(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if 0 <= value <= 1 else f"{value:.4g}"


def difference(before: float | None, after: float | None) -> str:
    """Signed, in the metric's own unit."""
    if before is None or after is None:
        return "–"
    shown = f"{after - before:+.4f}" if abs(before) <= 1 else f"{after - before:+.4g}"
    return shown.replace("-", "−") if after != before else "±0"


def drop_size(value: float, relative: bool) -> str:
    """A loss of the metric: a share of the baseline's, or in the metric's own unit."""
    return percent(value) if relative else f"{value:.4f}".replace("-", "−")


def drop_bound(drop: Drop | None) -> str:
    return "–" if drop is None else f"≤{SPACE}{drop_size(drop.high, drop.relative)}"


def decibels(value: float | None) -> str:
    """SQNR; outputs that are the same to the bit have none."""
    return "exact" if value is None else unit(f"{value:.1f}", "dB")


def seconds(value: float) -> str:
    if value < 60:
        return unit(significant(value, 2 if value < 10 else 3), "s")
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [unit(str(hours), "h")] if hours else []
    return " ".join([*parts, unit(str(minutes), "min"), unit(str(rest), "s")])


def max_drop_words(limit: MaxDrop, metric_name: str) -> str:
    amount = limit_percent(limit.value) if limit.relative else f"{limit.value:.4g} (absolute)"
    surety = "by point estimate" if limit.confidence == 0.5 else f"at {limit_percent(limit.confidence)} confidence"
    return f"at most {amount} of {metric_name} lost, {surety}"


_OBJECTIVES = {
    "latency": "lowest latency",
    "size": "smallest file",
    "memory": "lowest memory",
    "throughput": "highest throughput",
}


def goal_words(goal: Goal, metric_name: str) -> str:
    """The goal as a phrase: "lowest latency, with at most 1 % of top-1 lost, at 95 % confidence; p95 ≤ 10 ms"."""
    limits = [max_drop_words(goal.max_drop, metric_name)] if goal.max_drop else ["no limit on accuracy"]
    if goal.p95_ms is not None:
        limits.append(f"p95 ≤ {unit(f'{goal.p95_ms:g}', 'ms')}")
    if goal.size_mb is not None:
        limits.append(f"file ≤ {unit(f'{goal.size_mb:g}', 'MB')}")
    if goal.memory_mb is not None:
        limits.append(f"memory ≤ {unit(f'{goal.memory_mb:g}', 'MB')}")
    return f"{_OBJECTIVES[goal.objective]}, with {'; '.join(limits)}"


def thresholds_words(thresholds: Thresholds, metric_name: str) -> list[str]:
    """What a comparison must show, one phrase each; empty where nothing was asked."""
    asked = [max_drop_words(thresholds.max_drop, metric_name)] if thresholds.max_drop else []
    if thresholds.min_speedup is not None:
        asked.append(f"speedup at least {thresholds.min_speedup:g}×, with the whole interval")
    if thresholds.max_size_ratio is not None:
        asked.append(f"file at most {thresholds.max_size_ratio:g}× as large")
    if thresholds.max_memory_ratio is not None:
        asked.append(f"memory at most {thresholds.max_memory_ratio:g}× as much")
    return asked


def workload_words(workload: Workload) -> str:
    threads = "one thread" if workload.threads == 1 else f"{workload.threads} threads"
    dims = [f"{name} = {length}" for name, length in workload.dims.items()]
    return ", ".join([f"batch {workload.batch_size}", threads, *dims, " or ".join(workload.runtimes)])
