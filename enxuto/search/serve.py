"""The part of a benchmark's plan that finds how to serve the model, and checks it by a real load run.

For every way to run the copies, short load runs show what calls take behind the batcher. The choice is made by
simulation, and then the chosen way is run with the arrivals that were simulated: again, where somebody else had the
cores for most of it. Of several runs the quietest one counts, by what the kernel tells and never by its latencies.
Where the highest rate was asked for and the check misses its p95, one more plan is made for a tenth less, and it is
that one which counts.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from enxuto.report import Point, ServingPlan
from enxuto.request import BenchmarkOptions
from enxuto.scenario import Batching, ServingGoal
from enxuto.schema import Digest
from enxuto.search.plan import Progress, Reply, Task, found
from enxuto.search.serve_runs import FIRST_LOAD, TRIES, Serving, load_run, until_quiet
from enxuto.search.serve_watch import watch_calls
from enxuto.search.serve_why import outcome_words
from enxuto.settings import RunSettings
from enxuto.signature import ModelInput
from enxuto.steps import BatchCurve, Failed, LoadRun, PlanServing, Samples, ServingChoice, ServingOption, SimulatedLoad

Planned = tuple[ServingPlan | None, list[ServingOption], str]
_LESS = 0.9


@dataclass(frozen=True)
class _Chosen:
    settings: RunSettings
    choice: ServingChoice
    threads: int
    batching: Batching
    memory_bytes: int
    simulated: SimulatedLoad
    latencies: Digest | None
    """Of the queries that were simulated."""


def serving_plan(
    request: BenchmarkOptions, model: ModelInput, points: Sequence[Point], samples: Samples | None, cores: int
) -> Generator[Task, Reply, Planned]:
    """The plan, every way that was simulated, and why this one or none. ``points`` are those that were measured."""
    if request.serving is None or not points:
        return None, [], ""
    serving = Serving(request, request.serving, model, samples, points, cores)
    yield from watch_calls(serving)
    if not serving.traces:
        return None, [], f"What calls take behind a batcher could not be measured: {'; '.join(serving.failures)}"
    chosen, options, why = yield from _choose(serving, serving.goal)
    if chosen is None:
        return None, options, why
    plan = yield from _checked(serving, chosen, 0)
    if plan.holds is False and serving.goal.rate_per_s is None:
        return (yield from _once_more(serving, plan, options, why))
    return plan, options, f"{why} {outcome_words(serving.goal, plan)}"


def _choose(
    serving: Serving, goal: ServingGoal
) -> Generator[Task, Reply, tuple[_Chosen | None, list[ServingOption], str]]:
    """The best over all settings; of those that hold, the one with the fewest cores, or the highest rate."""
    chosen: list[_Chosen] = []
    options: list[ServingOption] = []
    reasons: list[str] = []
    for position, settings in enumerate(serving.settings):
        if position not in serving.traces:
            continue
        step = PlanServing(
            settings=settings,
            curves=[_curve(point) for point in serving.of(settings)],
            traces=serving.traces[position],
            goal=goal,
            cores=serving.cores,
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
                _Chosen(
                    *(settings, choice, choice.threads, choice.batching, choice.memory_bytes, choice.simulated),
                    reply.outcome.files[choice.simulated_file] if choice.simulated_file else None,
                )
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


def _checked(serving: Serving, chosen: _Chosen, load: int) -> Generator[Task, Reply, ServingPlan]:
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
    step = load_run(serving, chosen.settings, chosen.threads, chosen.batching, rate)
    step = step.model_copy(update={"simulated": chosen.latencies})
    message = f"checking the plan with {rate:.0f} queries/s"
    runs = yield from until_quiet(serving, step, FIRST_LOAD + load, Progress("plan", message, 0.95))
    if isinstance(runs, Failed):
        return plan.model_copy(update={"check_failed": runs.finding.detail})
    measured = serving.quietest(runs).found
    p95 = measured.latency.p95_ms
    fits_memory = serving.goal.memory_mb is None or measured.peak_bytes <= serving.goal.memory_mb * 1e6
    return plan.model_copy(
        update={
            "measured": measured,
            "difference": _difference(measured, chosen.simulated),
            "holds": None if p95 is None else p95 <= serving.goal.p95_ms and fits_memory,
            "raw": [run.latencies for run in runs],
        }
    )


def _difference(run: LoadRun, simulated: SimulatedLoad) -> float | None:
    """Of the same queries: those of quiet moments, where they are enough for a p95; else all."""
    if run.quiet and run.quiet.p95_ms and run.quiet.simulated_p95_ms:
        return run.quiet.p95_ms / run.quiet.simulated_p95_ms - 1
    p95, expected = run.latency.p95_ms, simulated.latency.p95_ms
    return p95 / expected - 1 if p95 and expected else None


def _once_more(
    serving: Serving, missed: ServingPlan, options: list[ServingOption], why: str
) -> Generator[Task, Reply, Planned]:
    goal = serving.goal.model_copy(update={"rate_per_s": _LESS * missed.rate_per_s})
    chosen, _, _ = yield from _choose(serving, goal)
    if chosen is None:
        return missed, options, f"{why} {outcome_words(serving.goal, missed)}"
    plan = yield from _checked(serving, chosen, TRIES)
    lowered = f"A tenth less, {plan.rate_per_s:.0f} queries/s, is planned instead."
    return plan, options, f"{why} {outcome_words(serving.goal, missed)} {lowered} {outcome_words(goal, plan)}"
