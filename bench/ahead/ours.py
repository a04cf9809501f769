"""Makes one of our own models, as a process of its own: what it cost is then told as for any peer.

    python -m bench.ahead.ours METHOD REQUEST FOLDER

A goal (``latency``, ``size``, ``throughput-32``) is a whole search. A technique (``static_int8``) is applied
alone, as a job with a recipe does it, and the cost is that of the step's process, calibration included.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

import enxuto
from bench.ahead.cases import CaseSettings
from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.execution.files import FolderFiles
from enxuto.execution.process import StepRunner
from enxuto.recipe import Recipe
from enxuto.request import OptimizeOptions
from enxuto.schema import Digest, Value
from enxuto.search.inspect import inspect_dataset, inspect_model
from enxuto.search.plan import Plan, PlanFailed, Progress, Task, found
from enxuto.search.resolve import resolve_optimize
from enxuto.search.splits import split_samples
from enxuto.signature import DatasetInput
from enxuto.steps import Applied, ApplyRecipe, Done, Failed, Samples, Step

T = TypeVar("T")

OBJECTIVES = ("latency", "size", "throughput")


class Wanted(Value):
    """The case, by its paths."""

    model: str
    evaluation: str | None
    calibration: str | None
    settings: CaseSettings


def main(method: str, wanted: Wanted, folder: Path) -> int:
    out = folder / "out"
    out.mkdir(parents=True, exist_ok=True)
    found_here: dict[str, object] = {"error": None}
    try:
        if method.partition("-")[0] in OBJECTIVES:
            found_here |= _search(method, wanted, out)
        else:
            found_here |= _apply(method, wanted, out)
    except Exception as error:  # noqa: BLE001 - a row says why there is no model
        traceback.print_exc()
        found_here["error"] = f"{getattr(error, 'code', type(error).__name__)}: {error}"
        shutil.rmtree(out)
    found_here.setdefault("cpu_s", _cpu_s(resource.RUSAGE_SELF) + _cpu_s(resource.RUSAGE_CHILDREN))
    found_here["peak_bytes"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    (folder / "result.json").write_text(json.dumps(found_here), encoding="utf-8")
    return 1 if found_here["error"] else 0


def _search(method: str, wanted: Wanted, out: Path) -> dict[str, object]:
    """The whole of it, as a user asks; the report stays beside the model."""
    objective, _, batch = method.partition("-")
    aim = {"maximize": "throughput"} if objective == "throughput" else {"minimize": objective}
    workload = wanted.settings.workload
    if batch:
        workload = workload.model_copy(update={"batch_size": int(batch)})
    report = enxuto.optimize(
        wanted.model,
        wanted.evaluation,
        enxuto.Goal.model_validate(aim),
        calibration=wanted.calibration,
        preprocessing=wanted.settings.preprocessing,
        metric=wanted.settings.metric,
        workload=workload,
        out=out.parent / "delivered",
    )
    name = report.winner or report.unproven
    winner = next((each for each in report.candidates if each.name == name), None)
    shutil.copy(out.parent / "delivered" / "optimized.onnx", out / "model.onnx")
    settings = winner.settings.model_dump(mode="json") if report.winner and winner else None
    return {"settings": settings, "note": f"{report.verdict}: {report.winner or report.why}"}


def _apply(method: str, wanted: Wanted, out: Path) -> dict[str, object]:
    recipe = TypeAdapter(Recipe).validate_python([{"kind": method}])
    with tempfile.TemporaryDirectory() as scratch:
        files = FolderFiles(Path(scratch) / "files")
        runner = StepRunner(files, scratch=Path(scratch) / "steps")

        def done(plan: Plan[T]) -> T:
            return drive(plan, runner, machine="here", journal=MemoryJournal(), control=Control())

        def dataset(path: str | None) -> DatasetInput | None:
            return done(inspect_dataset(files.add(Path(path)), Path(path).name)) if path else None

        model = done(inspect_model(files.add(Path(wanted.model)), "model.onnx"))
        evaluation, calibration = dataset(wanted.evaluation), dataset(wanted.calibration)
        asked = OptimizeOptions.model_validate({**dict(wanted.settings), "recipe": recipe})
        request = resolve_optimize(asked, model, evaluation)
        samples = split_samples(evaluation, calibration, request.seed).calibration
        before = _cpu_s(resource.RUSAGE_CHILDREN)
        made = done(_one_recipe(recipe, request, model.file, samples))
        spent = _cpu_s(resource.RUSAGE_CHILDREN) - before
        shutil.copy(files.path(made), out / "model.onnx")
    return {"settings": None, "note": "one recipe", "cpu_s": spent}


def _one_recipe(recipe: Recipe, request: OptimizeOptions, model: Digest, samples: Samples | None) -> Plan[Digest]:
    """As a job with a recipe does it: the step calibrates for itself."""
    apply = ApplyRecipe(
        model=model,
        recipe=recipe,
        calibration=samples,
        preprocessing=request.preprocessing,
        workload=request.workload,
        seed=request.seed,
    )
    applied = yield from _outcome(apply)
    return applied.files[found(applied, Applied).file]


def _outcome(step: Step) -> Plan[Done[Value]]:
    reply = yield Task(step, Progress(step.kind, step.kind, 0.0))
    if isinstance(reply.outcome, Failed):
        raise PlanFailed(reply.outcome.finding)
    return reply.outcome


def _cpu_s(whose: int) -> float:
    used = resource.getrusage(whose)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Wanted.model_validate_json(Path(sys.argv[2]).read_text("utf-8")), Path(sys.argv[3])))
