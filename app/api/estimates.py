"""What a job will cost, as far as that follows from its request: upper bounds, and no promise."""

from __future__ import annotations

from app.api.schemas import CostEstimate
from enxuto.goal import Goal
from enxuto.machine import this_machine
from enxuto.request import BenchmarkOptions, CompareOptions, OptimizeOptions, ProfileOptions
from enxuto.scenario import Offline, Server
from enxuto.search.candidates import propose
from enxuto.search.halving import LOOK
from enxuto.search.knee import BUDGET_S, LARGEST
from enxuto.search.looks import MOST_LOOKS
from enxuto.search.points import DURATION_S, MOST_LOADS
from enxuto.search.rate import MOST_RUNS
from enxuto.search.sieve import MOST_KEPT
from enxuto.search.splits import split_samples
from enxuto.search.timing import CONFIRMING, SCREENING, TUNING, Effort
from enxuto.search.variants import BASES, MOST_VARIANTS, Base, on_other_runtimes, propose_variants
from enxuto.search.ways import asked_ways
from enxuto.settings import DEFAULT_SETTINGS
from enxuto.signature import DatasetInput, ModelInput
from enxuto.steps import ProfileModel
from enxuto.techniques import AnyTechnique

_PEAKS_S = 10.0
"""What measuring the peaks of a machine takes, where nobody has yet; about."""


def of_optimize(
    options: OptimizeOptions, model: ModelInput, evaluation: DatasetInput | None, calibration: DatasetInput | None
) -> CostEstimate:
    splits = split_samples(evaluation, calibration, options.seed)
    looks = MOST_LOOKS if options.goal else 1
    recipes, variants, loads, timing_s = 1, 0, looks * CONFIRMING.most, looks * _timing_s(CONFIRMING, subjects=2)
    if options.goal:
        recipes, variants = _searched(options, options.goal, model, calibrated=splits.calibration is not None)
        loads += LOOK.most + SCREENING.most + (TUNING.most if variants else 0)
        timing_s += _timing_s(LOOK, subjects=recipes + variants + 1)
        timing_s += _timing_s(SCREENING, subjects=MOST_KEPT + 1)
        timing_s += _timing_s(TUNING, subjects=MOST_VARIANTS + 2) if variants else 0.0
    counts = splits.counts
    return CostEstimate(
        candidates=recipes + variants,
        evaluated_samples=(recipes + variants + 1) * counts.selection + (looks + 1) * counts.confirmation,
        fresh_loads=loads,
        timing_s=round(timing_s, 1),
        deadline_s=options.deadline_s,
    )


def _searched(options: OptimizeOptions, goal: Goal, model: ModelInput, *, calibrated: bool) -> tuple[int, int]:
    """Recipes, and models under other settings, that a search tries at most on a machine like this one."""
    recipes, machine, workload = (
        propose(model.inspection, goal, calibrated=calibrated),
        this_machine(),
        options.workload,
    )
    files = [*recipes, list[AnyTechnique]()]
    early = on_other_runtimes(files, model.inspection, goal, workload, machine)
    bases = [Base(recipe, DEFAULT_SETTINGS[workload.runtimes[-1]]) for recipe in recipes[:BASES]]
    late = propose_variants(bases, model.inspection, goal, workload) if bases else []
    return len(recipes), len(early) + len(late)


def of_compare(options: CompareOptions, evaluation: DatasetInput | None) -> CostEstimate:
    return CostEstimate(
        candidates=1,
        evaluated_samples=2 * evaluation.inspection.count if evaluation else 0,
        fresh_loads=CONFIRMING.most,
        timing_s=_timing_s(CONFIRMING, subjects=2),
        deadline_s=options.deadline_s,
    )


def of_benchmark(options: BenchmarkOptions) -> CostEstimate:
    """``options`` are resolved."""
    scenario = options.scenario
    points = loads = 0
    if isinstance(scenario, Offline):
        ways = len(asked_ways(options, scenario))
        points = ways * (len(scenario.batch_sizes) if scenario.batch_sizes else _points_of_a_search())
        loads = points * MOST_LOADS
        timing_s = loads * DURATION_S if scenario.batch_sizes else ways * BUDGET_S
        timing_s += options.serving.check_s if options.serving else 0.0
    else:
        searched = isinstance(scenario, Server) and scenario.rate_per_s is None
        loads = len(options.settings or [None]) * (MOST_RUNS if searched else 1)
        timing_s = loads * scenario.duration_s
    return CostEstimate(
        candidates=0,
        points=points,
        evaluated_samples=0,
        fresh_loads=loads,
        timing_s=round(timing_s, 1),
        deadline_s=options.deadline_s,
    )


def of_profile(options: ProfileOptions, against: ModelInput | None) -> CostEstimate:
    models = 1 if against is None else 2
    recorded_s: float = ProfileModel.model_fields["duration_s"].default
    return CostEstimate(
        candidates=0,
        evaluated_samples=0,
        fresh_loads=models,
        timing_s=round(models * 2 * recorded_s + _PEAKS_S, 1),
        deadline_s=options.deadline_s,
    )


def _points_of_a_search() -> int:
    """Doublings up to the largest batch that is tried, and the few bisections that take the knee down to an eighth."""
    return LARGEST.bit_length() + 3


def _timing_s(effort: Effort, *, subjects: int) -> float:
    return round(effort.most * effort.rounds * effort.block_ms * subjects / 1000, 1)
