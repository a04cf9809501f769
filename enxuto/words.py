"""Numbers and requests in words, the same on a page, in a terminal and in a notebook.

A no-break space stands between a number and its unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from enxuto.goal import Goal, MaxDrop, Thresholds
from enxuto.report import Outcome, Verdict
from enxuto.scenario import Batching, MultiStream, Offline, Scenario, Server, ServingGoal, SingleStream
from enxuto.settings import RunSettings
from enxuto.steps import Drop, Estimate, HostNoise, LatencyProfile
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
CONSTRAINT_WORDS = {
    "max_drop": "the limit on what may be lost",
    "size_mb": "the limit on the file's size",
    "p95_ms": "the limit on the 95th percentile of the latency",
    "memory_mb": "the limit on memory",
}
"""By the name of its field in a goal."""


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


def shortfall(share: float) -> str:
    """How far beyond a limit something is, as a share of it."""
    return f"by {limit_percent(round(share, 3))}" if share < 1 else f"{1 + share:,.3g} times the limit"


def blocking_words(constraint: str) -> str:
    """Which constraint stands in the way, in a sentence."""
    return f"{CONSTRAINT_WORDS.get(constraint, constraint)}: without it a candidate would do."


def listed(names: Sequence[str]) -> str:
    """Conv, Gemm and MatMul."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


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
    return "exact" if value is None else unit(f"{value:.1f}".replace("-", "−"), "dB")


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


def conditions_words(workload: Workload, *, batch: bool = True) -> str:
    """Without the runtimes; without the batch size where that is what is asked about."""
    dims = [f"{name} = {length}" for name, length in workload.dims.items()]
    sizes = [f"batch {workload.batch_size}"] if batch else []
    return ", ".join([*sizes, _threads(workload.threads), *dims])


def workload_words(workload: Workload) -> str:
    return f"{conditions_words(workload)}, {' or '.join(workload.runtimes)}"


_RUNTIMES: dict[str, str] = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


def settings_words(settings: RunSettings) -> str:
    """The runtime, and what is not set as its default: "ONNX Runtime, spinning off, graph level basic"."""
    changed = settings.model_dump(mode="json", exclude_defaults=True, exclude={"runtime"})
    told = [_setting_words(name, value) for name, value in changed.items() if value is not None]
    return ", ".join([_RUNTIMES[settings.runtime], *told])


def _setting_words(name: str, value: str | bool | int) -> str:
    spoken = name.replace("_", " ")
    if isinstance(value, bool):
        return f"{spoken} {'on' if value else 'off'}"
    return _threads(value) if name == "threads" and isinstance(value, int) else f"{spoken} {value}"


def way_words(settings: RunSettings, threads: int, instances: int) -> str:
    """How a model is run: "ONNX Runtime, 2 copies of one thread"."""
    bare = settings_words(settings.model_copy(update={"threads": None}))
    return f"{bare}, {_threads(threads)}" if instances == 1 else f"{bare}, {instances} copies of {_threads(threads)}"


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"


def batching_words(batching: Batching) -> str:
    """Such as: 2 copies, batches of up to 16, gathered for at most 2 ms."""
    return f"{_copies(batching.instances)}, {_gathering(batching)}"


def serving_way_words(threads: int, batching: Batching) -> str:
    """Such as: 2 copies of one thread, batches of up to 16, gathered for at most 2 ms."""
    return f"{_copies(batching.instances)} of {_threads(threads)}, {_gathering(batching)}"


def _copies(count: int) -> str:
    return "one copy" if count == 1 else f"{count} copies"


def _gathering(batching: Batching) -> str:
    if batching.max_batch == 1:
        return "requests one by one"
    waiting = f"gathered for at most {unit(f'{batching.max_delay_ms:g}', 'ms')}"
    return f"batches of up to {batching.max_batch}, {waiting if batching.max_delay_ms else 'no waiting'}"


def percentiles_words(profile: LatencyProfile) -> str:
    names = (("p50", profile.p50_ms), ("p90", profile.p90_ms), ("p95", profile.p95_ms), ("p99", profile.p99_ms))
    return ", ".join(f"{name} {milliseconds(value)}" for name, value in names if value is not None)


def count(value: int | None) -> str:
    """A large number: 18.9 million."""
    if value is None:
        return "–"
    for power, name in ((12, "trillion"), (9, "billion"), (6, "million")):
        if value >= 10**power:
            return unit(significant(value / 10**power), name)
    return f"{value:,}"


def rate(value: float | None) -> str:
    """How many in a second."""
    if value is None:
        return "–"
    return f"{value:,.0f}/s" if value >= 100 else f"{significant(value)}/s"


def scenario_words(scenario: Scenario) -> str:
    match scenario:
        case Offline():
            return f"offline: {_offline_words(scenario)}"
        case SingleStream():
            return f"single stream: one request at a time for {seconds(scenario.duration_s)}"
        case MultiStream():
            return f"multi stream: requests of {scenario.samples_per_query} samples for {seconds(scenario.duration_s)}"
        case Server():
            limit = f"p{scenario.percentile:g} ≤ {unit(f'{scenario.latency_ms:g}', 'ms')}"
            sought = (
                "the highest rate" if scenario.rate_per_s is None else f"{scenario.rate_per_s:,g} requests a second"
            )
            return f"server: {sought} with {limit}, {batching_words(scenario.batching)}"


def _offline_words(scenario: Offline) -> str:
    sizes = scenario.batch_sizes
    batches = f"batches of {', '.join(map(str, sizes))}" if sizes else "batches doubled until nothing is gained"
    threads = f"; threads {', '.join(map(str, scenario.threads))}" if scenario.threads else ""
    copies = "" if scenario.instances == [1] else f"; copies {', '.join(map(str, scenario.instances))}"
    return batches + threads + copies


def serving_words(goal: ServingGoal) -> str:
    """What a serving plan must carry, as a phrase."""
    sought = "the highest rate" if goal.rate_per_s is None else f"{goal.rate_per_s:,g} requests a second"
    memory = "" if goal.memory_mb is None else f" and {unit(f'{goal.memory_mb:g}', 'MB')}"
    return f"a plan to serve {sought} within a p95 of {unit(f'{goal.p95_ms:g}', 'ms')}{memory}"
