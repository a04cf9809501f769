"""The command line that does a report's job again."""

from __future__ import annotations

import json
import shlex
from decimal import Decimal

from enxuto.goal import Goal, MaxDrop, Thresholds
from enxuto.metric import Metric
from enxuto.preprocessing import Preprocessing
from enxuto.recipe import Recipe
from enxuto.report import CompareReport, OptimizeReport
from enxuto.workload import Workload

EVALUATION, CALIBRATION = "evaluation-data.npz", "calibration-data.npz"
"""Reports know data by digest only; these names stand for the files."""


def repeat_line(report: OptimizeReport | CompareReport) -> str:
    """A line for a shell; the files that it names are those whose digests the report gives."""
    if isinstance(report, OptimizeReport):
        words = ["enxuto", "optimize", _file(report.model_name)]
    else:
        words = ["enxuto", "compare", _file(report.against_name), _file(report.model_name)]
    words += _data(report.replay.datasets)
    if isinstance(report, CompareReport):
        words += _thresholds(report.request.thresholds)
    elif report.request.recipe:
        words += ["--recipe", recipe_argument(report.request.recipe)]
    elif report.goal:
        words += _goal(report.goal)
    request = report.request
    words += _metric(request.metric) + _preprocessing(request.preprocessing) + _workload(request.workload)
    if request.deadline_s is not None:
        words += ["--deadline", f"{request.deadline_s:g}"]
    return shlex.join([*words, "--seed", str(request.seed)])


def _file(name: str) -> str:
    return f"./{name}" if name.startswith("-") else name


def _data(datasets: dict[str, str]) -> list[str]:
    evaluation, calibration = datasets.get("evaluation"), datasets.get("calibration")
    words = ["--data", EVALUATION] if evaluation else []
    if calibration and calibration != evaluation:
        words += ["--calibration", CALIBRATION]
    return words


def _goal(goal: Goal) -> list[str]:
    words = ["--maximize", goal.maximize] if goal.maximize else ["--minimize", goal.objective]
    words += _max_drop(goal.max_drop) if goal.max_drop else ["--max-drop", "none"]
    for option, limit in (("--p95-ms", goal.p95_ms), ("--size-mb", goal.size_mb), ("--memory-mb", goal.memory_mb)):
        words += [option, _number(limit)] if limit is not None else []
    return words


def _thresholds(thresholds: Thresholds) -> list[str]:
    words = _max_drop(thresholds.max_drop) if thresholds.max_drop else []
    for option, limit in (
        ("--min-speedup", thresholds.min_speedup),
        ("--max-size-ratio", thresholds.max_size_ratio),
        ("--max-memory-ratio", thresholds.max_memory_ratio),
    ):
        words += [option, _number(limit)] if limit is not None else []
    return words


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


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


def _workload(workload: Workload) -> list[str]:
    words = ["--batch-size", str(workload.batch_size), "--threads", str(workload.threads)]
    for name, length in workload.dims.items():
        words += ["--dim", f"{name}={length}"]
    return words
