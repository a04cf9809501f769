"""The verbs of a server, typed as those of `enxuto.local` are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from enxuto.client.waiting import OnProgress
from enxuto.goal import Goal, Thresholds
from enxuto.metric import Metric
from enxuto.preprocessing import Preprocessing
from enxuto.processor import Processor
from enxuto.recipe import Recipe
from enxuto.report import BenchmarkReport, CompareReport, OptimizeReport, ProfileReport, Report
from enxuto.request import (
    MARGIN,
    BenchmarkOptions,
    CompareOptions,
    OptimizeOptions,
    ProfileOptions,
    RunOptions,
)
from enxuto.scenario import Offline, Scenario, ServingGoal
from enxuto.settings import RunSettings
from enxuto.workload import Workload

Given = str | Path
"""A path, or on a server an id."""
AnyReport = TypeVar("AnyReport", bound=Report)

DELIVERED = ("optimized.onnx", "report.json", "report.html")
"""What a folder for what comes out may hold besides the files for programs."""


class Verbs:
    """Each asks the server, waits until it is done, and returns the report.

    ``out`` is a folder for ``report.json``, ``report.html``, files for programs (run settings with a loader, a serving
    plan's files), and of an optimization ``optimized.onnx``, what is recommended. ``progress`` is called with what a
    person waiting should see. Interrupted by Ctrl-C, a verb cancels its job on the server.
    """

    def optimize(
        self,
        model: Given,
        dataset: Given | None = None,
        goal: Goal | None = None,
        *,
        recipe: Recipe | None = None,
        calibration: Given | None = None,
        preprocessing: Preprocessing | None = None,
        metric: Metric | None = None,
        margin: float = MARGIN,
        workload: Workload | None = None,
        deadline_s: float | None = None,
        seed: int = 0,
        processors: Sequence[Processor] = (),
        earlier: str | None = None,
        target: str = "any",
        out: Given | None = None,
        progress: OnProgress | None = None,
    ) -> OptimizeReport:
        """Make a model lean, and prove it.

        ``earlier`` is the id of a job with the same model, data and conditions, whose measurements answer this goal.
        """
        options = OptimizeOptions(
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
        data = {"evaluation": dataset, "calibration": calibration}
        named = {"earlier": earlier} if earlier else {}
        return self._ask(OptimizeReport, options, {"model": model}, data, target, out, progress, named)

    def compare(
        self,
        model: Given,
        against: Given,
        dataset: Given | None = None,
        thresholds: Thresholds | None = None,
        *,
        settings: RunSettings | None = None,
        against_settings: RunSettings | None = None,
        preprocessing: Preprocessing | None = None,
        metric: Metric | None = None,
        margin: float = MARGIN,
        workload: Workload | None = None,
        seed: int = 0,
        target: str = "any",
        out: Given | None = None,
        progress: OnProgress | None = None,
    ) -> CompareReport:
        """Judge ``model`` against ``against``."""
        options = CompareOptions(
            thresholds=thresholds or Thresholds(),
            settings=settings,
            against_settings=against_settings,
            preprocessing=preprocessing or {},
            metric=metric,
            margin=margin,
            workload=workload or Workload(),
            seed=seed,
        )
        models = {"model": model, "against": against}
        return self._ask(CompareReport, options, models, {"evaluation": dataset}, target, out, progress)

    def benchmark(
        self,
        model: Given,
        dataset: Given | None = None,
        scenario: Scenario | None = None,
        *,
        settings: list[RunSettings] | None = None,
        memory_mb: float | None = None,
        serving: ServingGoal | None = None,
        preprocessing: Preprocessing | None = None,
        workload: Workload | None = None,
        deadline_s: float | None = None,
        seed: int = 0,
        target: str = "any",
        out: Given | None = None,
        progress: OnProgress | None = None,
    ) -> BenchmarkReport:
        """Measure how ``model`` carries load; inputs are drawn by chance where there is no ``dataset``."""
        options = BenchmarkOptions(
            scenario=scenario or Offline(),
            settings=settings,
            memory_mb=memory_mb,
            serving=serving,
            preprocessing=preprocessing or {},
            workload=workload or Workload(),
            deadline_s=deadline_s,
            seed=seed,
        )
        return self._ask(
            BenchmarkReport, options, {"model": model}, {"evaluation": dataset}, target, out, progress
        )  # fmt: skip

    def profile(
        self,
        model: Given,
        against: Given | None = None,
        dataset: Given | None = None,
        *,
        settings: RunSettings | None = None,
        against_settings: RunSettings | None = None,
        preprocessing: Preprocessing | None = None,
        workload: Workload | None = None,
        seed: int = 0,
        target: str = "any",
        out: Given | None = None,
        progress: OnProgress | None = None,
    ) -> ProfileReport:
        """Find where the time of a call goes, node by node; ``against`` is laid beside it."""
        options = ProfileOptions(
            settings=settings,
            against_settings=against_settings,
            preprocessing=preprocessing or {},
            workload=workload or Workload(),
            seed=seed,
        )
        models = {"model": model, "against": against}
        return self._ask(ProfileReport, options, models, {"evaluation": dataset}, target, out, progress)

    @abstractmethod
    def _ask(
        self,
        expected: type[AnyReport],
        options: RunOptions,
        models: Mapping[str, Given | None],
        data: Mapping[str, Given | None],
        target: str,
        out: Given | None,
        progress: OnProgress | None,
        named: Mapping[str, str] = {},
    ) -> AnyReport:
        """Upload what is here, submit, wait, take home. ``named``: what else the body names by its id."""
