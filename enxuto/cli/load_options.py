"""From the options of `enxuto benchmark` to a scenario and a serving goal; what does not go together is told apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import typer

from enxuto.cli.reading import valid
from enxuto.scenario import Batching, MultiStream, Offline, Scenario, Server, ServingGoal, SingleStream

Typed = Mapping[str, Any]
"""What was typed, by option; None where nothing was."""

_OF_SCENARIO: Mapping[str, tuple[str, ...]] = {
    "offline": (
        "--batch-sizes", "--threads", "--instances", "--memory-mb",
        "--serve-p95-ms", "--serve-rate", "--serve-memory-mb", "--serve-max-batch", "--serve-check",
    ),
    "single_stream": ("--duration",),
    "multi_stream": ("--samples-per-query", "--duration"),
    "server": (
        "--latency-ms", "--percentile", "--rate", "--instances", "--max-batch", "--max-delay-ms", "--duration",
    ),
}  # fmt: skip


def scenario_of(kind: Literal["offline", "single_stream", "multi_stream", "server"], typed: Typed) -> Scenario:
    _refuse_others(kind, typed)
    match kind:
        case "offline":
            names = {"batch_sizes": "--batch-sizes", "threads": "--threads", "instances": "--instances"}
            return valid(Offline, names, **_given(typed, names))
        case "single_stream":
            return valid(SingleStream, {"duration_s": "--duration"}, **_given(typed, {"duration_s": "--duration"}))
        case "multi_stream":
            names = {"samples_per_query": "--samples-per-query", "duration_s": "--duration"}
            return valid(MultiStream, names, **_given(typed, names))
        case "server":
            return _server(typed)


def _server(typed: Typed) -> Server:
    if typed["--latency-ms"] is None:
        raise typer.BadParameter("the server scenario needs a limit to hold", param_hint="--latency-ms")
    instances = typed["--instances"] or [1]
    if len(instances) > 1:
        raise typer.BadParameter("the server scenario takes one number", param_hint="--instances")
    batching = {"max_batch": "--max-batch", "max_delay_ms": "--max-delay-ms"}
    names = {
        "latency_ms": "--latency-ms", "percentile": "--percentile", "rate_per_s": "--rate", "duration_s": "--duration",
    }  # fmt: skip
    gathered = valid(Batching, batching, instances=instances[0], **_given(typed, batching))
    return valid(Server, names, batching=gathered, **_given(typed, names))


def serving_goal(typed: Typed) -> ServingGoal | None:
    names = {
        "p95_ms": "--serve-p95-ms", "rate_per_s": "--serve-rate", "memory_mb": "--serve-memory-mb",
        "max_batch": "--serve-max-batch", "check_s": "--serve-check",
    }  # fmt: skip
    given = _given(typed, names)
    if given and "p95_ms" not in given:
        raise typer.BadParameter("a serving plan needs a limit: --serve-p95-ms", param_hint=names[next(iter(given))])
    return valid(ServingGoal, names, **given) if given else None


def _refuse_others(kind: str, typed: Typed) -> None:
    """An option that says nothing would otherwise be passed over without a word."""
    for option, value in typed.items():
        if value is not None and option not in _OF_SCENARIO[kind]:
            takers = " or ".join(other for other, options in _OF_SCENARIO.items() if option in options)
            more = " with more than one number" if option == "--threads" else ""
            raise typer.BadParameter(f"goes with --scenario {takers}{more} only", param_hint=option)


def _given(typed: Typed, names: Mapping[str, str]) -> dict[str, Any]:
    return {field: typed[option] for field, option in names.items() if typed[option] is not None}
