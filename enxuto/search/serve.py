"""The part of a benchmark's plan that finds how to serve the model, and checks it by a real load run.

For every way to run the copies, short load runs show what calls take behind the batcher. The choice is made by
simulation, and then the chosen way is run with the arrivals that were simulated: again, where somebody else had the
cores for most of it. Of several runs the quietest one counts, by what the kernel tells and never by its latencies.
Where the highest rate was asked for and the check misses its p95, one more plan is made for a tenth less, and it is
that one which counts.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from enxuto.report import Point, ServingPlan
from enxuto.request import BenchmarkOptions
from enxuto.scenario import Batching, ServingGoal
from enxuto.schema import Digest
from enxuto.search.plan import Progress, Reply, Task, found
from enxuto.settings import RunSettings
from enxuto.signature import ModelInput
from enxuto.steps import (
    MOST_QUERIES,
    BatchCurve,
    Failed,
    LoadRun,
    LoadTraces,
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
_SHARES = (0.3, 0.5, 0.7)
"""Rates at which calls are watched: of what copies carry with single samples, and the last one with any batch. Copies
that are busy all the time are quicker a call than any that a plan may ask for."""
_WATCHED_S = 2.0
_QUIET = 0.5
"""Share of a run's queries that makes a check worth its word."""
_TRIES = 3
_SLOWER = 1.06
"""Times the quickest probe of all runs: slower ones had company all along."""
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
    traces: dict[int, list[LoadTraces]] = field(default_factory=dict)
    """By the position of the settings."""
    failures: list[str] = field(default_factory=list)
    probe_us: float = float("inf")
    """The quickest of all load runs so far."""

    @property
    def settings(self) -> list[RunSettings]:
        return list(dict.fromkeys(point.settings for point in self.points))

    def of(self, settings: RunSettings) -> list[Point]:
        return [point for point in self.points if point.settings == settings]

    def note(self, run: LoadRun) -> None:
        if run.quiet and run.quiet.probe_us:
            self.probe_us = min(self.probe_us, run.quiet.probe_us)

    def quiet_share(self, run: _Ran) -> float:
        """Of its queries; none, where the core was slow all along."""
        quiet = run.found.quiet
        return quiet.share if quiet and (quiet.probe_us or 0.0) <= _SLOWER * self.probe_us else 0.0

    def quietest(self, runs: Sequence[_Ran]) -> _Ran:
        return max(runs, key=self.quiet_share)


@dataclass(frozen=True)
class _Ran:
    found: LoadRun
    latencies: Digest


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
    serving = _Serving(request, request.serving, model, samples, points, cores)
    yield from _watch_calls(serving)
    if not serving.traces:
        return None, [], f"What calls take behind a batcher could not be measured: {'; '.join(serving.failures)}"
    chosen, options, why = yield from _choose(serving, serving.goal)
    if chosen is None:
        return None, options, why
    plan = yield from _checked(serving, chosen, 0)
    if plan.holds is False and serving.goal.rate_per_s is None:
        return (yield from _once_more(serving, plan, options, why))
    return plan, options, f"{why} {_outcome(serving.goal, plan)}"


def _watch_calls(serving: _Serving) -> Generator[Task, Reply, None]:
    for position, settings in enumerate(serving.settings):
        points = serving.of(settings)
        for way in sorted({(point.threads, point.instances) for point in points}):
            own = [point for point in points if (point.threads, point.instances) == way]
            if (traces := (yield from _watch_way(serving, settings, own))) is not None:
                serving.traces.setdefault(position, []).append(traces)


def _watch_way(
    serving: _Serving, settings: RunSettings, points: Sequence[Point]
) -> Generator[Task, Reply, LoadTraces | None]:
    """Load runs with a seed of their own: what is checked later was never seen."""
    threads, instances = points[0].threads, points[0].instances
    batching = Batching(max_batch=max(point.batch_size for point in points), instances=instances)
    files = []
    for rate in _watched_rates(points):
        step = _load_run(serving, settings, threads, batching, rate).model_copy(
            update={"duration_s": _WATCHED_S, "seed": serving.request.seed + 1}
        )
        message = f"watching calls of {instances} × {threads} thread(s) under {rate:.0f} queries/s"
        runs = yield from _until_quiet(serving, step, _FIRST_LOAD, Progress("plan", message, 0.85))
        if isinstance(runs, Failed):
            serving.failures.append(runs.finding.detail)
            return None
        files.append(serving.quietest(runs).latencies)
    return LoadTraces(threads=threads, instances=instances, files=files)


def _watched_rates(points: Sequence[Point]) -> list[float]:
    carried = {point.batch_size: point.samples_per_s.value for point in points if point.samples_per_s}
    single, most = carried[min(carried)], max(carried.values())
    rates = [share * single for share in _SHARES[:-1]] + [_SHARES[-1] * most]
    return [min(rate, MOST_QUERIES / _WATCHED_S) for rate in rates]


def _choose(
    serving: _Serving, goal: ServingGoal
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
    step = _load_run(serving, chosen.settings, chosen.threads, chosen.batching, rate)
    step = step.model_copy(update={"simulated": chosen.latencies})
    message = f"checking the plan with {rate:.0f} queries/s"
    runs = yield from _until_quiet(serving, step, _FIRST_LOAD + load, Progress("plan", message, 0.95))
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


def _until_quiet(
    serving: _Serving, step: RunLoad, load: int, progress: Progress
) -> Generator[Task, Reply, list[_Ran] | Failed]:
    """Fresh loads, until one was quiet; all of them are kept."""
    runs: list[_Ran] = []
    for position in range(_TRIES):
        reply = yield Task(step.model_copy(update={"load": load + position}), progress)
        if isinstance(reply.outcome, Failed):
            return reply.outcome
        run = found(reply.outcome, LoadRun)
        runs.append(_Ran(run, reply.outcome.files[run.latencies_file]))
        serving.note(run)
        if serving.quiet_share(runs[-1]) >= _QUIET:
            break
    return runs


def _load_run(serving: _Serving, settings: RunSettings, threads: int, batching: Batching, rate_per_s: float) -> RunLoad:
    return RunLoad(
        subject=Subject(model=serving.model.file, settings=settings),
        workload=serving.request.workload.model_copy(update={"threads": threads}),
        arrivals=Poisson(rate_per_s=rate_per_s),
        batching=batching,
        duration_s=serving.goal.check_s,
        percentile=95.0,
        limit_ms=serving.goal.p95_ms,
        samples=serving.samples,
        preprocessing=serving.request.preprocessing,
        load=_FIRST_LOAD,
        seed=serving.request.seed,
    )


def _difference(run: LoadRun, simulated: SimulatedLoad) -> float | None:
    """Of the same queries: those of quiet moments, where they are enough for a p95; else all."""
    if run.quiet and run.quiet.p95_ms and run.quiet.simulated_p95_ms:
        return run.quiet.p95_ms / run.quiet.simulated_p95_ms - 1
    p95, expected = run.latency.p95_ms, simulated.latency.p95_ms
    return p95 / expected - 1 if p95 and expected else None


def _once_more(
    serving: _Serving, missed: ServingPlan, options: list[ServingOption], why: str
) -> Generator[Task, Reply, Planned]:
    goal = serving.goal.model_copy(update={"rate_per_s": _LESS * missed.rate_per_s})
    chosen, _, _ = yield from _choose(serving, goal)
    if chosen is None:
        return missed, options, f"{why} {_outcome(serving.goal, missed)}"
    plan = yield from _checked(serving, chosen, _TRIES)
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
    return f"A real load run {verb} it: p95 {p95:.3g} ms{memory}.{_compared(plan)}"


def _compared(plan: ServingPlan) -> str:
    quiet = plan.measured.quiet if plan.measured else None
    if quiet is None:
        return ""
    if quiet.p95_ms is None or quiet.simulated_p95_ms is None or quiet.share < _QUIET:
        return f" Threads waited for cores that were taken: only {quiet.share:.0%} of the queries met a quiet moment."
    return (
        f" Of the {quiet.share:.0%} of queries that met a quiet moment p95 is {quiet.p95_ms:.3g} ms, and was "
        f"{quiet.simulated_p95_ms:.3g} ms by simulation."
    )
