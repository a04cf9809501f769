"""A serving plan is chosen by simulation, checked by a real load run, and made once more where the check misses."""

from collections.abc import Callable
from typing import Any

from enxuto.errors import Finding
from enxuto.report import Point
from enxuto.request import BenchmarkOptions
from enxuto.scenario import Batching, ServingGoal
from enxuto.schema import Value
from enxuto.search.plan import Reply
from enxuto.search.serve import Planned, serving_plan
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings
from enxuto.signature import ModelInput
from enxuto.steps import (
    BatchCount,
    Done,
    Estimate,
    Failed,
    HostNoise,
    LatencyProfile,
    LoadRun,
    PlanServing,
    Poisson,
    QuietPart,
    RunLoad,
    ServingChoice,
    ServingOption,
    SimulatedLoad,
    Step,
)
from tests.support import reports

NOISE = HostNoise(load_1m=None, steal_share=None, pressure_share=None)
FAILED = Failed(finding=Finding(code="out_of_memory", detail="no memory was left"), elapsed_s=0.1)
Answer = Callable[[Step], Value | None]


def profile(p95_ms: float) -> LatencyProfile:
    return LatencyProfile(
        queries=5000, mean_ms=1.0, p50_ms=1.0, p90_ms=p95_ms, p95_ms=p95_ms, p99_ms=None, p999_ms=None
    )


def simulated(rate: float, p95_ms: float) -> SimulatedLoad:
    return SimulatedLoad(
        rate_per_s=rate, latency=profile(p95_ms), utilization=0.5, batches=[BatchCount(size=1, count=1)]
    )


def choice(step: PlanServing, *, highest: float = 1000.0, p95_ms: float = 8.0) -> ServingChoice:
    batching = Batching(max_batch=4, max_delay_ms=1.0)
    option = ServingOption(
        settings=step.settings,
        threads=1,
        batching=batching,
        highest_rate_per_s=highest,
        p95_ms=p95_ms,
        memory_bytes=10**8,
        fits=True,
    )
    return ServingChoice(
        threads=1,
        batching=batching,
        memory_bytes=10**8,
        simulated=simulated(step.goal.rate_per_s or highest, p95_ms),
        why=f"Of 1 way, {step.settings.runtime}.",
        options=[option],
        simulated_file="simulated.npz",
    )


def load_run(p95_ms: float, peak_bytes: int = 10**8, quiet: QuietPart | None = None) -> LoadRun:
    return LoadRun(
        latency=profile(p95_ms),
        duration_s=10,
        queries_per_s=500,
        samples_per_s=500,
        batches=[BatchCount(size=1, count=5000)],
        mean_wait_ms=0.1,
        utilization=0.5,
        cpu_cores=0.6,
        peak_bytes=peak_bytes,
        sent_late_ms=0.1,
        noise=NOISE,
        quiet=quiet or QuietPart(share=0.9, p95_ms=0.9 * p95_ms, simulated_p95_ms=8.0, probe_us=3.0),
        latencies_file="latencies.npz",
    )


def is_check(step: Step) -> bool:
    """Calls are watched with arrivals that no check has."""
    return isinstance(step, RunLoad) and step.seed == 0


def point(settings: Any, instances: int, batch_size: int) -> Point:
    return Point(
        settings=settings,
        batch_size=batch_size,
        threads=1,
        instances=instances,
        outcome="measured",
        samples_per_s=Estimate(value=1000, low=990, high=1010, confidence=0.95),
        memory_bytes=10**8,
        raw=[reports.digest(f"{settings} {instances} {batch_size}")],
    )


POINTS = [point(OnnxRuntimeSettings(), instances, size) for instances in (1, 2) for size in (1, 2, 4, 8, 16)]


def follow(goal: ServingGoal, answer: Answer, points: list[Point] = POINTS) -> tuple[Planned, list[Step]]:
    model = ModelInput(file=reports.digest("model"), name="model.onnx", inspection=reports.inspection())
    plan = serving_plan(BenchmarkOptions(serving=goal), model, points, None, 2)
    steps: list[Step] = []
    try:
        task = next(plan)
        while True:
            steps.append(task.step)
            found = answer(task.step)
            files = {name: reports.digest(name) for name in ("simulated.npz", "latencies.npz")}
            outcome = Done[Value](result=found, files=files, elapsed_s=1.0) if found else FAILED
            task = plan.send(Reply(outcome, None))
    except StopIteration as end:
        return end.value, steps


def answers(*measured: float, **chosen: float) -> Answer:
    left = list(measured)

    def answer(step: Step) -> Value | None:
        match step:
            case PlanServing():
                return choice(step, **chosen)
            case RunLoad():
                return load_run(left.pop(0)) if is_check(step) else load_run(1.0)
        raise AssertionError(f"{step.kind} has no place here")

    return answer


def test_the_check_runs_what_was_chosen_with_the_arrivals_that_were_simulated() -> None:
    goal = ServingGoal(p95_ms=10, rate_per_s=500, check_s=7)
    (plan, options, why), steps = follow(goal, answers(9.0))
    assert [step.kind for step in steps] == ["run_load"] * 6 + ["plan_serving", "run_load"]
    check = steps[-1]
    assert isinstance(check, RunLoad)
    assert (check.arrivals, check.duration_s, check.seed) == (Poisson(rate_per_s=500), 7, 0)
    assert check.batching == Batching(max_batch=4, max_delay_ms=1.0)
    assert plan is not None
    assert plan.holds is True
    assert plan.difference is not None
    assert round(plan.difference, 4) == 0.0125  # of quiet moments: 8.1 ms, and 8 simulated
    assert check.simulated == reports.digest("simulated.npz")
    assert plan.raw == [reports.digest("latencies.npz")]
    assert len(options) == 1
    assert "held it" in why


def test_calls_are_watched_for_every_way_at_rates_below_what_it_carries_and_with_other_arrivals() -> None:
    _, steps = follow(ServingGoal(p95_ms=10, rate_per_s=500), answers(9.0))
    watched = [step for step in steps if isinstance(step, RunLoad) and not is_check(step)]
    assert [step.batching.instances for step in watched] == [1, 1, 1, 2, 2, 2]
    assert {step.batching.max_batch for step in watched} == {16}
    assert [step.arrivals for step in watched[:3]] == [Poisson(rate_per_s=rate) for rate in (300.0, 500.0, 700.0)]
    assert {step.seed for step in watched} == {1}


def test_a_disturbed_check_is_repeated_and_the_quietest_counts_whatever_its_latency() -> None:
    shares = [(0.1, 3.0, 5.0), (0.3, 3.0, 12.0), (0.9, 3.6, 6.0)]  # the last one had company all along

    def answer(step: Step) -> Value | None:
        if not is_check(step):
            return answers()(step)
        share, probe_us, p95_ms = shares.pop(0)
        return load_run(p95_ms, quiet=QuietPart(share=share, p95_ms=None, simulated_p95_ms=None, probe_us=probe_us))

    (plan, _, why), steps = follow(ServingGoal(p95_ms=10, rate_per_s=500), answer)
    checks = [step for step in steps if isinstance(step, RunLoad) and is_check(step)]
    assert len({step.load for step in checks}) == 3
    assert plan is not None
    assert plan.measured is not None
    assert plan.measured.latency.p95_ms == 12.0
    assert plan.holds is False
    assert len(plan.raw) == 3
    assert "only 30% of the queries met a quiet moment" in why


def test_a_rate_that_was_asked_for_and_missed_is_told() -> None:
    (plan, _, why), steps = follow(ServingGoal(p95_ms=10, rate_per_s=500), answers(12.0))
    assert plan is not None
    assert plan.holds is False
    assert "missed it: p95 12 ms" in why
    assert sum(map(is_check, steps)) == 1


def test_a_highest_rate_that_is_missed_is_planned_once_more_for_a_tenth_less() -> None:
    (plan, _, why), steps = follow(ServingGoal(p95_ms=10), answers(12.0, 9.0))
    assert plan is not None
    assert (plan.rate_per_s, plan.holds) == (900, True)
    assert [step.kind for step in steps][-4:] == ["plan_serving", "run_load", "plan_serving", "run_load"]
    assert "A tenth less, 900 queries/s" in why


def test_more_memory_than_allowed_does_not_hold() -> None:
    def answer(step: Step) -> Value | None:
        return load_run(9.0, peak_bytes=3 * 10**8) if is_check(step) else answers()(step)

    (plan, _, why), _ = follow(ServingGoal(p95_ms=10, rate_per_s=500, memory_mb=200), answer)
    assert plan is not None
    assert plan.holds is False
    assert "300 MB" in why


def test_a_check_that_fails_leaves_the_plan_with_its_reason() -> None:
    def answer(step: Step) -> Value | None:
        return None if is_check(step) else answers()(step)

    (plan, _, why), _ = follow(ServingGoal(p95_ms=10, rate_per_s=500), answer)
    assert plan is not None
    assert (plan.measured, plan.holds, plan.check_failed) == (None, None, "no memory was left")
    assert "could not be checked" in why


def test_where_nothing_can_be_measured_there_is_no_plan_but_a_reason() -> None:
    (plan, options, why), _ = follow(ServingGoal(p95_ms=10), lambda step: None)
    assert (plan, options) == (None, [])
    assert "no memory was left" in why


def test_of_two_runtimes_the_one_with_the_higher_rate_is_taken() -> None:
    points = [*POINTS, point(OpenVinoSettings(), 1, 1)]

    def answer(step: Step) -> Value | None:
        if isinstance(step, PlanServing):
            return choice(step, highest=2000 if isinstance(step.settings, OpenVinoSettings) else 1000)
        return answers(9.0)(step)

    (plan, options, _), _ = follow(ServingGoal(p95_ms=10), answer, points)
    assert plan is not None
    assert plan.settings == OpenVinoSettings()
    assert plan.rate_per_s == 2000
    assert {option.settings.runtime for option in options} == {"onnxruntime", "openvino"}
