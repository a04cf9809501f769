"""The part of a benchmark's plan that finds how to serve the model, and checks it by a real load run.

What a batcher adds is measured for every way to run the copies, the choice is made by simulation, and then the chosen
way is run with the arrivals that were simulated. Where the highest rate was asked for and the check misses its p95, one
more plan is made for a tenth less, and it is that one which counts.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from enxuto.report import Point, ServingPlan
from enxuto.request import BenchmarkOptions
from enxuto.scenario import Batching, ServingGoal
from enxuto.search.plan import Progress, Reply, Task, found
from enxuto.settings import RunSettings
from enxuto.signature import ModelInput
from enxuto.steps import (
    BatchCurve,
    Failed,
    Handling,
    HandlingCurve,
    LoadRun,
    MeasureHandling,
    PlanServing,
    Poisson,
    RunLoad,
    Samples,
    ServingChoice,
    ServingOption,
    SimulatedLoad,
    Subject,
)

Planned = tuple[ServingPlan | None, list[ServingOption], str]
_LESS = 0.9
_FIRST_LOAD = 5000
"""No phase shares the number of a fresh load with another."""


@dataclass
class _Serving:
    """What is known so far."""

    request: BenchmarkOptions
    goal: ServingGoal
    model: ModelInput
    samples: Samples | None
    points: Sequence[Point]
    cores: int
    handling: dict[int, list[HandlingCurve]] = field(default_factory=dict)
    """By the position of the settings."""
    failures: list[str] = field(default_factory=list)

    @property
    def settings(self) -> list[RunSettings]:
        return list(dict.fromkeys(point.settings for point in self.points))

    def of(self, settings: RunSettings) -> list[Point]:
        return [point for point in self.points if point.settings == settings]


@dataclass(frozen=True)
class _Chosen:
    settings: RunSettings
    choice: ServingChoice
    threads: int
    batching: Batching
    memory_bytes: int
    simulated: SimulatedLoad


def serving_plan(
    request: BenchmarkOptions, model: ModelInput, points: Sequence[Point], samples: Samples | None, cores: int
) -> Generator[Task, Reply, Planned]:
    """The plan, every way that was simulated, and why this one or none. ``points`` are those that were measured."""
    if request.serving is None or not points:
        return None, [], ""
    serving = _Serving(request, request.serving, model, samples, points, cores)
    yield from _measure_handling(serving)
    if not serving.handling:
        return None, [], f"What a batcher adds could not be measured: {'; '.join(serving.failures)}"
    chosen, options, why = yield from _choose(serving, serving.goal)
    if chosen is None:
        return None, options, why
    plan = yield from _checked(serving, chosen, 0)
    if plan.holds is False and serving.goal.rate_per_s is None:
        return (yield from _once_more(serving, plan, options, why))
    return plan, options, f"{why} {_outcome(serving.goal, plan)}"


def _measure_handling(serving: _Serving) -> Generator[Task, Reply, None]:
    for position, settings in enumerate(serving.settings):
        ways = sorted({(point.threads, point.instances) for point in serving.of(settings)})
        for threads, instances in ways:
            sizes = sorted(
                {p.batch_size for p in serving.of(settings) if (p.threads, p.instances) == (threads, instances)}
            )
            step = MeasureHandling(
                subject=Subject(model=serving.model.file, settings=settings),
                workload=serving.request.workload.model_copy(update={"threads": threads}),
                instances=instances,
                batch_sizes=sorted({sizes[0], sizes[len(sizes) // 2], sizes[-1]}),
                samples=serving.samples,
                preprocessing=serving.request.preprocessing,
                load=_FIRST_LOAD,
                seed=serving.request.seed,
            )
            message = f"measuring what a batcher adds to {instances} × {threads} thread(s)"
            reply = yield Task(step, Progress("plan", message, 0.85))
            if isinstance(reply.outcome, Failed):
                serving.failures.append(reply.outcome.finding.detail)
            else:
                file = reply.outcome.files[found(reply.outcome, Handling).handling_file]
                curve = HandlingCurve(threads=threads, instances=instances, file=file)
                serving.handling.setdefault(position, []).append(curve)


def _choose(
    serving: _Serving, goal: ServingGoal
) -> Generator[Task, Reply, tuple[_Chosen | None, list[ServingOption], str]]:
    """The best over all settings; of those that hold, the one with the fewest cores, or the highest rate."""
    chosen: list[_Chosen] = []
    options: list[ServingOption] = []
    reasons: list[str] = []
    for position, settings in enumerate(serving.settings):
        if position not in serving.handling:
            continue
        step = PlanServing(
            settings=settings,
            curves=[_curve(point) for point in serving.of(settings)],
            handling=serving.handling[position],
            goal=goal,
            seed=serving.request.seed,
        )
        reply = yield Task(step, Progress("plan", "simulating ways to serve", 0.9))
        if isinstance(reply.outcome, Failed):
            reasons.append(reply.outcome.finding.detail)
            continue
        choice = found(reply.outcome, ServingChoice)
        options += choice.options
        reasons.append(choice.why)
        if choice.threads and choice.batching and choice.memory_bytes and choice.simulated:
            chosen.append(
                _Chosen(settings, choice, choice.threads, choice.batching, choice.memory_bytes, choice.simulated)
            )
    if not chosen:
        return None, options, " ".join(reasons)
    best = min(chosen, key=_leanest if goal.rate_per_s else _fastest)
    return best, sorted(options, key=lambda option: not option.fits), best.choice.why


def _leanest(chosen: _Chosen) -> tuple[float, float]:
    return chosen.threads * chosen.batching.instances, chosen.simulated.latency.p95_ms or 0.0


def _fastest(chosen: _Chosen) -> float:
    return -chosen.simulated.rate_per_s


def _curve(point: Point) -> BatchCurve:
    return BatchCurve(
        threads=point.threads,
        instances=point.instances,
        batch_size=point.batch_size,
        calls=point.raw,
        peak_bytes=point.memory_bytes or 0,
    )


def _checked(serving: _Serving, chosen: _Chosen, load: int) -> Generator[Task, Reply, ServingPlan]:
    """Run the chosen way with the arrivals that were simulated."""
    rate = chosen.simulated.rate_per_s
    plan = ServingPlan(
        settings=chosen.settings,
        threads=chosen.threads,
        batching=chosen.batching,
        rate_per_s=rate,
        memory_bytes=chosen.memory_bytes,
        simulated=chosen.simulated,
        measured=None,
        difference=None,
        holds=None,
    )
    step = RunLoad(
        subject=Subject(model=serving.model.file, settings=chosen.settings),
        workload=serving.request.workload.model_copy(update={"threads": chosen.threads}),
        arrivals=Poisson(rate_per_s=rate),
        batching=chosen.batching,
        duration_s=serving.goal.check_s,
        percentile=95.0,
        limit_ms=serving.goal.p95_ms,
        samples=serving.samples,
        preprocessing=serving.request.preprocessing,
        load=_FIRST_LOAD + load,
        seed=serving.request.seed,
    )
    reply = yield Task(step, Progress("plan", f"checking the plan with {rate:.0f} queries/s", 0.95))
    if isinstance(reply.outcome, Failed):
        return plan.model_copy(update={"check_failed": reply.outcome.finding.detail})
    measured = found(reply.outcome, LoadRun)
    p95, simulated = measured.latency.p95_ms, chosen.simulated.latency.p95_ms
    fits_memory = serving.goal.memory_mb is None or measured.peak_bytes <= serving.goal.memory_mb * 1e6
    return plan.model_copy(
        update={
            "measured": measured,
            "difference": p95 / simulated - 1 if p95 and simulated else None,
            "holds": None if p95 is None else p95 <= serving.goal.p95_ms and fits_memory,
            "raw": [reply.outcome.files[measured.latencies_file]],
        }
    )


def _once_more(
    serving: _Serving, missed: ServingPlan, options: list[ServingOption], why: str
) -> Generator[Task, Reply, Planned]:
    goal = serving.goal.model_copy(update={"rate_per_s": _LESS * missed.rate_per_s})
    chosen, _, _ = yield from _choose(serving, goal)
    if chosen is None:
        return missed, options, f"{why} {_outcome(serving.goal, missed)}"
    plan = yield from _checked(serving, chosen, 1)
    lowered = f"A tenth less, {plan.rate_per_s:.0f} queries/s, is planned instead."
    return plan, options, f"{why} {_outcome(serving.goal, missed)} {lowered} {_outcome(goal, plan)}"


def _outcome(goal: ServingGoal, plan: ServingPlan) -> str:
    if plan.measured is None:
        return f"It could not be checked: {plan.check_failed}"
    p95 = plan.measured.latency.p95_ms
    if p95 is None:
        return f"Only {plan.measured.latency.queries} queries came in {goal.check_s:g} s: too few to check a p95."
    over = goal.memory_mb is not None and plan.measured.peak_bytes > goal.memory_mb * 1e6
    memory = f", but took {plan.measured.peak_bytes / 1e6:.0f} MB" if over else ""
    verb = "held" if p95 <= goal.p95_ms else "missed"
    return f"A real load run {verb} it: p95 {p95:.3g} ms{memory}."
