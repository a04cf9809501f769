"""The verbs, here on this machine: no server, no queue, the same steps in the same sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from enxuto.earlier import read_earlier
from enxuto.goal import Goal, Thresholds
from enxuto.known_peaks import KnownPeaks
from enxuto.machine import this_machine
from enxuto.metric import Metric
from enxuto.preprocessing import Preprocessing
from enxuto.processor import Processor
from enxuto.recipe import Recipe
from enxuto.report import BenchmarkReport, CompareReport, OptimizeReport, ProfileReport
from enxuto.request import MARGIN, BenchmarkOptions, CompareOptions, OptimizeOptions, ProfileOptions
from enxuto.scenario import Offline, Scenario, ServingGoal
from enxuto.search.benchmark import benchmark as benchmark_plan
from enxuto.search.compare import compare as compare_plan
from enxuto.search.optimize import optimize as optimize_plan
from enxuto.search.profile import profile as profile_plan
from enxuto.settings import RunSettings
from enxuto.signature import ModelInspection
from enxuto.workbench import OnProgress, workbench
from enxuto.workload import Workload


def optimize(
    model: str | Path,
    dataset: str | Path | None = None,
    goal: Goal | None = None,
    *,
    recipe: Recipe | None = None,
    calibration: str | Path | None = None,
    preprocessing: Preprocessing | None = None,
    metric: Metric | None = None,
    margin: float = MARGIN,
    workload: Workload | None = None,
    deadline_s: float | None = None,
    seed: int = 0,
    processors: Sequence[Processor] = (),
    earlier: str | Path | OptimizeReport | None = None,
    out: str | Path | None = None,
    progress: OnProgress | None = None,
) -> OptimizeReport:
    """Make a model lean on this machine, and prove it.

    Args:
        model: An ONNX file.
        dataset: Samples to judge by (``.npz`` or ``.safetensors``), arrays named as the model's inputs, ``labels``
            where there are any. One row a sample; a single number for an input of shape [].
        margin: Two times closer than this share of each other count as equal.
        processors: Kinds of processor that the result must hold its accuracy on, beside this machine's own.
        earlier: The report of a search with the same model, data and conditions, or the path of its ``report.json``:
            the goal is answered from what was measured then, and only what is new is done.
        out: A folder for ``optimized.onnx`` (what is recommended), ``report.json``, ``report.html``, and the winner's
            run settings with a loader.

    Raises:
        EnxutoError: with a code, what was wrong, and what to do.
    """
    request = OptimizeOptions(
        goal=goal,
        recipe=recipe,
        preprocessing=preprocessing or {},
        metric=metric,
        margin=margin,
        workload=workload or Workload(),
        deadline_s=deadline_s,
        seed=seed,
        processors=list(processors),
    )
    known = earlier if earlier is None or isinstance(earlier, OptimizeReport) else read_earlier(earlier)
    with workbench(progress) as bench:
        inputs = bench.model(model), bench.dataset(dataset), bench.dataset(calibration)
        plan = optimize_plan(request, *inputs, this_machine(), known)
        report = bench.drive(plan, deadline_s)
        if out is not None:
            bench.deliver(report, Path(out), optimized=report.recommended.sha256)
        return report


def compare(
    model: str | Path,
    against: str | Path,
    dataset: str | Path | None = None,
    thresholds: Thresholds | None = None,
    *,
    settings: RunSettings | None = None,
    against_settings: RunSettings | None = None,
    preprocessing: Preprocessing | None = None,
    metric: Metric | None = None,
    margin: float = MARGIN,
    workload: Workload | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    progress: OnProgress | None = None,
) -> CompareReport:
    """Judge ``model`` against ``against`` on this machine; arguments as in ``optimize``.

    ``settings`` and ``against_settings`` say by which runtime, and how that is set up.
    """
    request = CompareOptions(
        thresholds=thresholds or Thresholds(),
        settings=settings,
        against_settings=against_settings,
        preprocessing=preprocessing or {},
        metric=metric,
        margin=margin,
        workload=workload or Workload(),
        seed=seed,
    )
    with workbench(progress) as bench:
        report = bench.drive(
            compare_plan(request, bench.model(model), bench.model(against), bench.dataset(dataset), this_machine())
        )
        if out is not None:
            bench.deliver(report, Path(out))
        return report


def benchmark(
    model: str | Path,
    dataset: str | Path | None = None,
    scenario: Scenario | None = None,
    *,
    settings: list[RunSettings] | None = None,
    memory_mb: float | None = None,
    serving: ServingGoal | None = None,
    preprocessing: Preprocessing | None = None,
    workload: Workload | None = None,
    deadline_s: float | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    progress: OnProgress | None = None,
) -> BenchmarkReport:
    """Measure how ``model`` carries load on this machine.

    Args:
        dataset: Samples to run it on; drawn by chance where there are none.
        scenario: How requests come; ``Offline()``, which finds the knee by itself, where nothing is said.
        settings: Runtimes and how they are set up; by default each of ``workload.runtimes``.
        memory_mb: Find the largest batch whose process stays within this (offline only).
        serving: Make a serving plan for this, and check it by a real load run (offline only).
        out: A folder for ``report.json``, ``report.html`` and the serving plan's files.
    """
    request = BenchmarkOptions(
        scenario=scenario or Offline(),
        settings=settings,
        memory_mb=memory_mb,
        serving=serving,
        preprocessing=preprocessing or {},
        workload=workload or Workload(),
        deadline_s=deadline_s,
        seed=seed,
    )
    with workbench(progress) as bench:
        plan = benchmark_plan(request, bench.model(model), bench.dataset(dataset), this_machine())
        report = bench.drive(plan, deadline_s)
        if out is not None:
            bench.deliver(report, Path(out))
        return report


def profile(
    model: str | Path,
    against: str | Path | None = None,
    dataset: str | Path | None = None,
    *,
    settings: RunSettings | None = None,
    against_settings: RunSettings | None = None,
    preprocessing: Preprocessing | None = None,
    workload: Workload | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    progress: OnProgress | None = None,
) -> ProfileReport:
    """Find where the time of a call goes, node by node; ``against`` is laid beside it. Arguments as in ``benchmark``.

    What this machine can do at most is measured once and remembered in the user's cache folder.
    """
    request = ProfileOptions(
        settings=settings,
        against_settings=against_settings,
        preprocessing=preprocessing or {},
        workload=workload or Workload(),
        seed=seed,
    )
    known, fingerprint = KnownPeaks(), this_machine().fingerprint
    with workbench(progress) as bench:
        subject, beside = bench.model(model), None if against is None else bench.model(against)
        samples = bench.dataset(dataset)
        peaks = known.get(fingerprint, request.threads)
        report = bench.drive(profile_plan(request, subject, beside, samples, this_machine(), peaks))
        if peaks is None:
            known.put(fingerprint, report.peaks)
        if out is not None:
            bench.deliver(report, Path(out))
        return report


def inspect(model: str | Path) -> ModelInspection:
    """What a model file says of itself, read inside the sandbox."""
    with workbench(None) as bench:
        return bench.model(model).inspection
