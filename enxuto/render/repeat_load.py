"""The part of a command line that says how `enxuto benchmark` loads a model."""

from __future__ import annotations

import json

from enxuto.request import BenchmarkOptions
from enxuto.scenario import Batching, MultiStream, Offline, Server, ServingGoal, SingleStream
from enxuto.settings import DEFAULT_SETTINGS, RunSettings


def load_words(request: BenchmarkOptions) -> list[str]:
    scenario = request.scenario
    words = ["--scenario", scenario.kind]
    match scenario:
        case Offline():
            words += _list("--batch-sizes", scenario.batch_sizes) + _list("--threads", scenario.threads)
            words += _list("--instances", scenario.instances)
        case SingleStream():
            words += _numbers({"--duration": scenario.duration_s})
        case MultiStream():
            words += _numbers({"--samples-per-query": scenario.samples_per_query, "--duration": scenario.duration_s})
        case Server():
            words += _server(scenario)
    words += _numbers({"--memory-mb": request.memory_mb}) + (_serving(request.serving) if request.serving else [])
    return [*words, *(word for one in request.settings or [] for word in ("--runtime", runtime_argument(one)))]


def runtime_argument(settings: RunSettings) -> str:
    """The runtime's name where it is set up as usual, else JSON."""
    if settings == DEFAULT_SETTINGS[settings.runtime]:
        return settings.runtime
    return json.dumps({"runtime": settings.runtime, **settings.model_dump(mode="json", exclude_defaults=True)})


def number(value: float) -> str:
    return repr(value).removesuffix(".0")


def _server(scenario: Server) -> list[str]:
    usual, batching = Batching(), scenario.batching
    return _numbers({
        "--latency-ms": scenario.latency_ms,
        "--percentile": scenario.percentile,
        "--rate": scenario.rate_per_s,
        "--instances": None if batching.instances == usual.instances else batching.instances,
        "--max-batch": None if batching.max_batch == usual.max_batch else batching.max_batch,
        "--max-delay-ms": None if batching.max_delay_ms == usual.max_delay_ms else batching.max_delay_ms,
        "--duration": scenario.duration_s,
    })  # fmt: skip


def _serving(goal: ServingGoal) -> list[str]:
    return _numbers({
        "--serve-p95-ms": goal.p95_ms,
        "--serve-rate": goal.rate_per_s,
        "--serve-memory-mb": goal.memory_mb,
        "--serve-max-batch": goal.max_batch,
        "--serve-check": goal.check_s,
    })  # fmt: skip


def _list(option: str, values: list[int] | None) -> list[str]:
    return [] if values is None else [option, ",".join(map(str, values))]


def _numbers(options: dict[str, float | None]) -> list[str]:
    return [word for option, value in options.items() if value is not None for word in (option, number(value))]
