"""The plan of a ``benchmark`` job: how a model carries load."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from importlib.metadata import version

from enxuto.errors import Finding
from enxuto.machine import Machine
from enxuto.report import (
    BenchmarkReport,
    LargestBatch,
    ModelRef,
    Point,
    Replay,
    Run,
    ScenarioResult,
    ServingPlan,
)
from enxuto.request import BenchmarkOptions
from enxuto.scenario import Offline
from enxuto.search.benchmark_why import told
from enxuto.search.curves import measure_curves, measure_for_serving
from enxuto.search.knee import KneeSearch
from enxuto.search.largest_batch import find_largest_batch
from enxuto.search.load_runs import Loaded, Loads
from enxuto.search.plan import Meter, Plan, PlanFailed, Reply, Stopped, StopReason, Task, metered
from enxuto.search.points import Points
from enxuto.search.resolve import resolve_benchmark
from enxuto.search.scenarios import run_scenario
from enxuto.search.serve import serving_plan
from enxuto.search.splits import all_samples
from enxuto.signature import DatasetInput, ModelInput
from enxuto.steps import ServingOption


@dataclass
class _Bench:
    """What was found so far: what is left of it when the plan is stopped."""

    points: Points
    searches: list[KneeSearch] = field(default_factory=list)
    largest: list[LargestBatch] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    results: list[ScenarioResult] = field(default_factory=list)
    failures: list[Finding] = field(default_factory=list)
    """Of load runs."""
    plan: ServingPlan | None = None
    plan_options: list[ServingOption] = field(default_factory=list)
    plan_why: str = ""


def benchmark(
    request: BenchmarkOptions, model: ModelInput, samples: DatasetInput | None, machine: Machine
) -> Plan[BenchmarkReport]:
    """Measure how a model carries load. When stopped, what was measured so far is the answer.

    Raises:
        BadInput: the model cannot be run here, or the data does not fit it.
        PlanFailed: nothing at all could be measured.
    """
    resolved = resolve_benchmark(request, model, samples)
    drawn = all_samples(samples, request.seed) if samples else None
    bench, meter = _Bench(Points(resolved, model, drawn, machine)), Meter()
    stopped: StopReason | None = None
    try:
        yield from metered(_measure(bench), meter)
    except Stopped as stop:
        stopped = stop.reason
    if stopped is None:
        _raise_if_nothing_ran(bench)
    return _report(bench, samples, stopped, meter.spent_s)


def _measure(bench: _Bench) -> Generator[Task, Reply, None]:
    scenario = bench.points.request.scenario
    if isinstance(scenario, Offline):
        yield from _offline(bench, scenario)
    else:
        yield from _load(bench, scenario)


def _offline(bench: _Bench, scenario: Offline) -> Generator[Task, Reply, None]:
    points, request = bench.points, bench.points.request
    yield from measure_curves(points, scenario, bench.searches)
    points.part_ends = 0.85
    if request.memory_mb is not None:
        for way in {at.way.settings: at.way for at in reversed(points.loads)}.values():
            bench.largest.append((yield from find_largest_batch(points, way, request.memory_mb)))
    if request.serving is not None and points.loads:
        yield from measure_for_serving(points, scenario, bench.searches)
        cores = points.machine.cores
        measured = [point for point in points.rows() if point.outcome == "measured" and _has_cores(point, cores)]
        trusted = [point for point in measured if not point.reason] or measured
        planned = yield from serving_plan(request, points.model, trusted, points.samples, cores)
        bench.plan, bench.plan_options, bench.plan_why = planned


def _has_cores(point: Point, cores: int) -> bool:
    """Copies that took the cores from each other tell nothing of how to serve."""
    return point.threads * point.instances <= cores


def _load(bench: _Bench, scenario: Loaded) -> Generator[Task, Reply, None]:
    for settings in bench.points.request.settings or []:
        loads = Loads(bench.points, settings, scenario, bench.runs)
        result = yield from run_scenario(loads)
        if result:
            bench.results.append(result)
        elif loads.failure:
            bench.failures.append(loads.failure)


def _raise_if_nothing_ran(bench: _Bench) -> None:
    points = bench.points
    if not points.loads and not bench.results:
        raise PlanFailed(next(iter([*points.failures.values(), *bench.failures, *points.skipped.values()])))


def _report(bench: _Bench, samples: DatasetInput | None, stopped: StopReason | None, spent_s: float) -> BenchmarkReport:
    points, model = bench.points, bench.points.model
    rows, scenario = points.rows(), _best(bench.results)
    knees = [knee for search in bench.searches if (knee := search.knee(points))]
    return BenchmarkReport(
        model=ModelRef(sha256=model.file, size_bytes=model.inspection.size_bytes),
        model_name=model.name,
        inspection=model.inspection,
        preprocessing=points.request.preprocessing,
        workload=points.request.workload,
        machine=points.machine,
        noise=points.noise,
        replay=Replay(
            model=model.file,
            datasets={"evaluation": samples.file} if samples else {},
            seed=points.request.seed,
            enxuto=version("enxuto"),
        ),
        elapsed_s=spent_s,
        request=points.request,
        why=told(rows, knees, bench.largest, scenario, bench.plan_why, stopped),
        points=rows,
        knees=knees,
        largest_batches=bench.largest,
        runs=bench.runs,
        scenario=scenario,
        plan=bench.plan,
        plan_options=bench.plan_options,
        plan_why=bench.plan_why,
        stopped=stopped,
    )


def _best(results: list[ScenarioResult]) -> ScenarioResult | None:
    """Of several ways to run the model the best, with what is to be said of all of them."""
    if not results:
        return None
    met = [result for result in results if result.value is not None]
    by_value = {"ms": min, "queries/s": max}[results[0].unit]
    best = by_value(met, key=lambda result: result.value or 0.0) if met else results[0]
    details = [best.detail, *(result.detail for result in results if result is not best)]
    return best.model_copy(update={"detail": " ".join(details)})
