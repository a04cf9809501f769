"""What does a report's job again: a command line, and a request to a server."""

from __future__ import annotations

import json
import shlex
from decimal import Decimal
from typing import Any

from enxuto.goal import Goal, MaxDrop, Thresholds
from enxuto.metric import Metric
from enxuto.preprocessing import Preprocessing
from enxuto.recipe import Recipe
from enxuto.render.repeat_load import load_words, number, runtime_argument
from enxuto.report import BenchmarkReport, CompareReport, OptimizeReport, ProfileReport, Report
from enxuto.request import (
    MARGIN,
    BenchmarkOptions,
    CompareOptions,
    JudgedOptions,
    OptimizeOptions,
    ProfileOptions,
    RunOptions,
)
from enxuto.scenario import Offline
from enxuto.settings import DEFAULT_SETTINGS
from enxuto.workload import Workload

EVALUATION, CALIBRATION, EARLIER = "evaluation-data.npz", "calibration-data.npz", "earlier-report.json"
"""Reports know data, and a report that they rest on, by digest only; these names stand for the files."""
_USUAL = Workload().runtimes


def repeat_line(report: Report) -> str:
    """A line for a shell; the files that it names are those whose digests the report gives."""
    request = report.request
    words = ["enxuto", report.kind, *map(_file, _models(report)), *_data(report)]
    match report:
        case OptimizeReport():
            words += _search(report)
        case CompareReport():
            words += _thresholds(report.request.thresholds) + _both_runtimes(report.request)
        case BenchmarkReport():
            words += load_words(report.request)
        case ProfileReport():
            words += _both_runtimes(report.request)
    if isinstance(request, JudgedOptions):
        words += _metric(request.metric)
        words += [] if request.margin == MARGIN else ["--margin", number(request.margin)]
    words += _preprocessing(request.preprocessing) + _workload(request)
    if request.deadline_s is not None and report.kind in ("optimize", "benchmark"):
        words += ["--deadline", number(request.deadline_s)]
    if isinstance(report, OptimizeReport):
        words += [word for one in report.request.processors for word in ("--processors", one)]
        words += ["--earlier", EARLIER] if report.earlier else []
    return shlex.join([*words, "--seed", str(request.seed)])


def repeat_http(report: Report) -> str:
    """The same for a server; ids stand where uploads have their own."""
    asked = _told(
        report.request.model_dump(mode="json", by_alias=True),
        report.request.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    )
    body: dict[str, object] = {"kind": report.kind, "model": "MODEL_ID"}
    if isinstance(report, CompareReport) or (isinstance(report, ProfileReport) and report.against):
        body["against"] = "AGAINST_ID"
    if report.replay.datasets:
        body["data"] = {role: f"{role.upper()}_ID" for role in _roles(report)}
    if isinstance(report, OptimizeReport) and report.earlier:
        body["earlier"] = "EARLIER_JOB_ID"
    document = json.dumps(body | asked, indent=2)
    return (
        "curl -fsS \"$URL/v1/jobs\" -H 'Content-Type: application/json' --data-binary @- <<'JSON'\n"
        + document
        + "\nJSON"
    )


def _told(whole: Any, changed: Any) -> Any:
    """What is not as usual, and what says of which kind it is."""
    if isinstance(whole, dict):
        return {
            name: _told(value, changed[name]) if name in changed else value
            for name, value in whole.items()
            if name in changed or name in ("kind", "runtime")
        }
    if isinstance(whole, list):
        return [_told(value, sparse) for value, sparse in zip(whole, changed, strict=True)]
    return whole


def _models(report: Report) -> list[str]:
    match report:
        case CompareReport():
            return [report.against_name, report.model_name]
        case ProfileReport():
            return [report.model_name, *([report.against.model_name] if report.against else [])]
        case _:
            return [report.model_name]


def _search(report: OptimizeReport) -> list[str]:
    allowed = report.request.workload.runtimes
    runtimes = [] if allowed == _USUAL else [word for name in allowed for word in ("--runtime", name)]
    if report.request.recipe:
        return ["--recipe", recipe_argument(report.request.recipe), *runtimes]
    return [*(_goal(report.goal) if report.goal else []), *runtimes]


def _both_runtimes(request: CompareOptions | ProfileOptions) -> list[str]:
    first = request.workload.runtimes[0]
    settings = request.settings or (None if first == _USUAL[0] else DEFAULT_SETTINGS[first])
    options = {"--runtime": settings, "--against-runtime": request.against_settings}
    return [word for option, one in options.items() if one for word in (option, runtime_argument(one))]


def _roles(report: Report) -> list[str]:
    evaluation, calibration = (report.replay.datasets.get(role) for role in ("evaluation", "calibration"))
    return [
        *(["evaluation"] if evaluation else []),
        *(["calibration"] if calibration not in (None, evaluation) else []),
    ]


def _file(name: str) -> str:
    return f"./{name}" if name.startswith("-") else name


def _data(report: Report) -> list[str]:
    options = {"evaluation": ["--data", EVALUATION], "calibration": ["--calibration", CALIBRATION]}
    return [word for role in _roles(report) for word in options[role]]


def _goal(goal: Goal) -> list[str]:
    words = ["--maximize", goal.maximize] if goal.maximize else ["--minimize", goal.objective]
    words += _max_drop(goal.max_drop) if goal.max_drop else ["--max-drop", "none"]
    for option, limit in (("--p95-ms", goal.p95_ms), ("--size-mb", goal.size_mb), ("--memory-mb", goal.memory_mb)):
        words += [option, number(limit)] if limit is not None else []
    return words


def _thresholds(thresholds: Thresholds) -> list[str]:
    words = _max_drop(thresholds.max_drop) if thresholds.max_drop else []
    for option, limit in (
        ("--min-speedup", thresholds.min_speedup),
        ("--max-size-ratio", thresholds.max_size_ratio),
        ("--max-memory-ratio", thresholds.max_memory_ratio),
    ):
        words += [option, number(limit)] if limit is not None else []
    return words


def _max_drop(limit: MaxDrop) -> list[str]:
    words = ["--max-drop", f"{(Decimal(str(limit.value)) * 100).normalize():f}%"]
    words += [] if limit.relative else ["--absolute"]
    return words if limit.confidence == 0.95 else [*words, "--confidence", str(limit.confidence)]


def recipe_argument(recipe: Recipe) -> str:
    """Bare kinds where every parameter is the default, else JSON."""
    given = [{"kind": one.kind, **one.model_dump(mode="json", exclude_defaults=True)} for one in recipe]
    if all(len(parameters) == 1 for parameters in given):
        return ",".join(one.kind for one in recipe)
    return json.dumps(given)


def _metric(metric: Metric | None) -> list[str]:
    if metric is None:
        return []
    given = {"kind": metric.kind, **metric.model_dump(mode="json", exclude_defaults=True)}
    return ["--metric", metric.kind if len(given) == 1 else json.dumps(given)]


def _preprocessing(preprocessing: Preprocessing) -> list[str]:
    if not preprocessing:
        return []
    given = {
        name: one.model_dump(mode="json", by_alias=True, exclude_defaults=True) for name, one in preprocessing.items()
    }
    return ["--preprocessing", json.dumps(given)]


def _workload(request: RunOptions) -> list[str]:
    workload, words = request.workload, []
    if not isinstance(request, BenchmarkOptions):
        words += ["--batch-size", str(workload.batch_size), "--threads", str(workload.threads)]
    elif not (isinstance(request.scenario, Offline) and request.scenario.threads):
        words += ["--threads", str(workload.threads)]
    for name, length in workload.dims.items():
        words += ["--dim", f"{name}={length}"]
    return words if workload.fixed_shapes or not isinstance(request, OptimizeOptions) else [*words, "--changing-shapes"]
