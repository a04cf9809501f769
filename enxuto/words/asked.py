"""What was asked, and how a model is run, in words."""

from __future__ import annotations

from enxuto.goal import Goal, MaxDrop, Thresholds
from enxuto.scenario import Batching, MultiStream, Offline, Scenario, Server, ServingGoal, SingleStream
from enxuto.settings import RunSettings
from enxuto.words.numbers import limit_percent, seconds, unit
from enxuto.workload import Workload


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
