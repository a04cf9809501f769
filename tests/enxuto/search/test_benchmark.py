"""What a benchmark of batches finds, told from facts about a model."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from enxuto.errors import BadInput, EnxutoError, Finding
from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.machine import this_machine
from enxuto.report import BenchmarkReport, Point, ReportAdapter
from enxuto.request import BenchmarkOptions
from enxuto.scenario import Offline
from enxuto.search.benchmark import benchmark
from enxuto.search.knee import WITHIN
from enxuto.search.resolve import resolve_benchmark
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings
from enxuto.steps import MeasureMemory, MeasureThroughput, Step
from enxuto.workload import Workload
from tests.support.simulated_load import CRASH, DOES_NOT_RUN, NO_MEMORY, LoadWorld
from tests.support.simulated_world import a_dataset, a_model

ONE_RUNTIME = Workload(runtimes=["onnxruntime"])
MACHINE = this_machine().model_copy(update={"cores": 2})


def run(
    world: LoadWorld,
    request: BenchmarkOptions | None = None,
    *,
    fixed: int | None = None,
    control: Control | None = None,
) -> BenchmarkReport:
    request = request or BenchmarkOptions(workload=ONE_RUNTIME)
    plan = benchmark(request, a_model(batch_size=fixed), None, MACHINE)
    return drive(plan, world, machine="here", journal=MemoryJournal(), control=control or Control())


def listed(*batch_sizes: int, **more: object) -> BenchmarkOptions:
    scenario = Offline(batch_sizes=list(batch_sizes), **more)  # type: ignore[arg-type]
    return BenchmarkOptions(scenario=scenario, workload=ONE_RUNTIME)


def rows(report: BenchmarkReport) -> list[tuple[int, str, str]]:
    return [(point.batch_size, point.outcome, point.code) for point in report.points]


def fails_from(batch_size: int, finding: Finding) -> LoadWorld:
    def fails(step: Step) -> Finding | None:
        return finding if step.workload.batch_size >= batch_size else None  # type: ignore[union-attr]

    return LoadWorld(fails=fails)


def test_the_knee_is_the_smallest_batch_that_carries_almost_the_most() -> None:
    """Calls of 1 ms and 0.1 ms a sample carry at most 10,000 samples a second, ever more slowly approached."""
    world = LoadWorld()
    report = run(world)
    [knee] = report.knees
    rates = {point.batch_size: point.samples_per_s.value for point in report.points if point.samples_per_s}
    assert knee.highest_samples_per_s == max(rates.values())
    assert rates[knee.batch_size] == knee.samples_per_s >= (1 - WITHIN) * knee.highest_samples_per_s
    below = max(batch for batch in rates if batch < knee.batch_size)
    assert rates[below] < (1 - WITHIN) * knee.highest_samples_per_s
    assert knee.batch_size - below <= knee.batch_size / 8
    assert f"batch {knee.batch_size} is the smallest" in knee.detail
    assert "together gained" in knee.detail


def test_doubling_stops_early_when_nothing_is_gained_and_says_so() -> None:
    world = LoadWorld(call_ms=lambda batch: 0.02 + 1.98 * batch)
    report = run(world)
    assert world.batches() == [1, 2, 4]
    assert report.knees[0].batch_size == 1
    assert "batching gains next to nothing" in report.why
    assert "no larger batch was tried since the doublings to 2 and 4 together gained" in report.why


def test_a_call_that_takes_seconds_ends_the_search() -> None:
    world = LoadWorld(call_ms=lambda batch: 1900.0 + 30 * batch)
    assert "a call with batch 4 takes" in run(world).knees[0].detail


def test_every_runtime_has_a_knee_of_its_own() -> None:
    report = run(LoadWorld(), BenchmarkOptions())
    assert [knee.settings.runtime for knee in report.knees] == ["onnxruntime", "openvino"]
    assert report.request.settings == [OnnxRuntimeSettings(), OpenVinoSettings()]


def test_a_crash_ends_the_search_with_the_batches_before_it() -> None:
    report = run(fails_from(16, CRASH))
    assert (16, "failed", "step_crashed") in rows(report)
    assert max(point.batch_size for point in report.points) == 16
    assert report.knees[0].batch_size <= 8
    assert "batch 16 failed (The step's process crashed with SIGSEGV)" in report.knees[0].detail
    assert "batch 16 failed: The step's process crashed with SIGSEGV." in report.why


def test_after_a_lack_of_memory_larger_batches_of_a_list_are_not_tried() -> None:
    world = fails_from(4, NO_MEMORY)
    report = run(world, listed(8, 1, 4, 16))
    assert rows(report) == [
        (1, "measured", ""),
        (4, "failed", "out_of_memory"),
        (8, "skipped", "smaller_batch_failed"),
        (16, "skipped", "smaller_batch_failed"),
    ]
    assert world.batches() == [1, 4]


def test_a_batch_that_the_model_does_not_take_is_a_row_and_the_rest_goes_on() -> None:
    world = LoadWorld(fails=lambda step: DOES_NOT_RUN if step.workload.batch_size == 4 else None)  # type: ignore[union-attr]
    assert rows(run(world, listed(1, 4, 8))) == [
        (1, "measured", ""),
        (4, "failed", "model_fails_to_run"),
        (8, "measured", ""),
    ]


def test_a_fixed_batch_axis_is_measured_as_it_is_and_the_others_say_why_not() -> None:
    report = run(LoadWorld(), listed(1, 8), fixed=4)
    assert rows(report) == [(1, "skipped", "batch_fixed"), (4, "measured", ""), (8, "skipped", "batch_fixed")]
    assert "takes batches of 4 only" in report.points[0].reason
    assert rows(run(LoadWorld(), fixed=4)) == [(4, "measured", "")]


def test_where_nothing_runs_the_finding_is_the_answer() -> None:
    with pytest.raises(EnxutoError) as failure:
        run(fails_from(1, CRASH))
    assert failure.value.code == "step_crashed"


def test_a_runtime_that_does_not_load_the_model_does_not_keep_the_other_from_it() -> None:
    def fails(step: Step) -> Finding | None:
        runtime = step.subject.settings.runtime  # type: ignore[union-attr]
        return DOES_NOT_RUN if runtime == "openvino" else None

    report = run(LoadWorld(fails=fails), BenchmarkOptions(memory_mb=80))
    assert [point.settings.runtime for point in report.points if point.outcome == "failed"] == ["openvino"]
    assert [knee.settings.runtime for knee in report.knees] == ["onnxruntime"]
    assert [largest.settings.runtime for largest in report.largest_batches] == ["onnxruntime"]


def test_combinations_beyond_the_cores_are_left_out_unless_they_are_all_that_is_asked() -> None:
    report = run(LoadWorld(), listed(1, threads=[1, 2], instances=[1, 2]))
    by_way = {(point.threads, point.instances): (point.outcome, point.code) for point in report.points}
    assert by_way[2, 2] == ("skipped", "beyond_cores")
    assert {by_way[1, 1], by_way[1, 2], by_way[2, 1]} == {("measured", "")}
    [asked] = run(LoadWorld(), listed(1, threads=[4], instances=[2])).points
    assert (asked.outcome, asked.reason) == ("measured", "8 threads share 2 cores")


def test_settings_that_name_their_threads_are_run_with_them() -> None:
    request = BenchmarkOptions(
        settings=[OnnxRuntimeSettings(threads=2)], scenario=Offline(batch_sizes=[1], threads=[1, 4])
    )
    assert [point.threads for point in run(LoadWorld(), request).points] == [2]


def the_point(report: BenchmarkReport) -> Point:
    [point] = report.points
    return point


def test_loads_are_added_while_the_interval_is_wide_and_no_longer() -> None:
    assert the_point(run(LoadWorld(luck=0.001), listed(1))).loads == 3
    assert the_point(run(LoadWorld(luck=0.1), listed(1))).loads == 6


def test_loads_whose_core_was_shared_are_set_aside() -> None:
    report = run(LoadWorld(slow_core=lambda step: step.load == 1), listed(1))
    point = the_point(report)
    assert point.samples_per_s is not None
    assert point.samples_per_s.value == pytest.approx(1000 / 1.1, rel=0.01)
    assert (point.loads, len(point.raw), len(report.noise)) == (3, 3, 4)


def test_loads_that_were_disturbed_all_along_are_set_aside() -> None:
    def shared(step: MeasureThroughput) -> bool:
        return step.load in (0, 2)

    point = the_point(run(LoadWorld(slow_core=shared, disturbed=shared, shared_probe_us=3.0), listed(1)))
    assert point.samples_per_s is not None
    assert point.samples_per_s.value == pytest.approx(1000 / 1.1, rel=0.01)
    assert point.loads == 3


def test_where_every_load_was_disturbed_all_of_them_count() -> None:
    point = the_point(run(LoadWorld(disturbed=lambda step: True), listed(1)))
    assert (point.outcome, point.loads) == ("measured", 6)
    assert "disturbed all along" in point.reason


@pytest.mark.parametrize("batch_size", [4, 16, 24, 48])
def test_a_point_that_was_disturbed_all_along_decides_nothing(batch_size: int) -> None:
    """It carries half of what it would, which looks like the end of all gain, and must not end the search."""

    def shared(step: MeasureThroughput) -> bool:
        return step.workload.batch_size == batch_size

    [undisturbed] = run(LoadWorld()).knees
    [knee] = run(LoadWorld(slow_core=shared, disturbed=shared)).knees
    assert knee.highest_samples_per_s == pytest.approx(undisturbed.highest_samples_per_s, rel=0.01)
    assert knee.batch_size != batch_size


def test_the_knee_is_told_in_the_figures_of_its_points_also_where_later_loads_change_which_ones_count() -> None:
    """The core turns out to be quicker yet while the second runtime is measured: no load of the first was quiet."""

    def second(step: MeasureThroughput) -> bool:
        return step.subject.settings.runtime == "openvino"

    world = LoadWorld(luck=0.03, disturbed=lambda step: step.load == 0, slow_core=second, shared_probe_us=2.8)
    report = run(world, BenchmarkOptions())
    assert len(report.knees) == 2
    for knee in report.knees:
        points = [point for point in report.points if point.settings == knee.settings]
        rates = {point.batch_size: point.samples_per_s.value for point in points if point.samples_per_s}
        assert knee.samples_per_s == pytest.approx(rates[knee.batch_size])
        assert knee.highest_samples_per_s == pytest.approx(max(rates.values()))


def test_a_machine_that_is_never_quiet_ends_the_search_all_the_same() -> None:
    report = run(LoadWorld(disturbed=lambda step: True, call_ms=lambda batch: 1.0 + 0.01 * batch))
    assert len(report.knees) == 1
    assert max(point.batch_size for point in report.points) <= 4096


def test_what_was_found_is_told_in_sentences() -> None:
    report = run(LoadWorld(), BenchmarkOptions(scenario=Offline(batch_sizes=[1, 8], instances=[1, 2])))
    first, second = report.why.split("; ")[0], report.why.split(". ")[1]
    assert "2 copies of one thread, carries the most: 8,8" in first
    assert "at batch 8, 1.80\xa0ms a call" in first
    assert second.count("samples/s at batch 8") == 3


def test_a_cancelled_search_keeps_what_was_measured() -> None:
    world = LoadWorld()
    report = run(world, control=Control(cancelled=lambda: len(world.done) >= 8))
    assert report.stopped == "cancelled"
    assert [(point.batch_size, point.outcome) for point in report.points] == [
        (1, "measured"),
        (2, "measured"),
        (4, "measured"),
    ]
    assert (report.knees, report.plan) == ([], None)
    assert "It ended early: it was cancelled" in report.why
    assert ReportAdapter.validate_json(report.model_dump_json(by_alias=True)) == report


def test_a_single_load_before_the_end_is_no_measurement() -> None:
    world = LoadWorld()
    point = the_point(run(world, control=Control(cancelled=lambda: len(world.done) >= 1)))
    assert (point.outcome, point.code) == ("skipped", "benchmark_stopped")


def test_a_benchmark_stopped_before_its_first_step_says_so() -> None:
    report = run(LoadWorld(), control=Control(cancelled=lambda: True))
    assert (report.points, report.stopped) == ([], "cancelled")
    assert "nothing had been measured" in report.why


def test_the_largest_batch_within_the_memory_is_found_exactly() -> None:
    world = LoadWorld()
    [largest] = run(world, BenchmarkOptions(workload=ONE_RUNTIME, memory_mb=93.5)).largest_batches
    assert (largest.batch_size, largest.peak_bytes) == (43, 93_000_000)
    assert (largest.tried["43"], largest.tried["44"]) == (93_000_000, 94_000_000)
    assert len(world.batches(MeasureMemory)) < 15


def test_a_limit_that_not_even_one_sample_keeps_has_no_batch() -> None:
    [largest] = run(LoadWorld(), BenchmarkOptions(workload=ONE_RUNTIME, memory_mb=20)).largest_batches
    assert (largest.batch_size, largest.peak_bytes, largest.tried) == (None, None, {"1": 51_000_000})
    assert "not even batch 1" in largest.detail


def test_a_batch_that_does_not_run_bounds_the_largest_one() -> None:
    def fails(step: Step) -> Finding | None:
        return NO_MEMORY if isinstance(step, MeasureMemory) and step.workload.batch_size > 20 else None

    [largest] = run(LoadWorld(fails=fails), BenchmarkOptions(workload=ONE_RUNTIME, memory_mb=1000)).largest_batches
    assert largest.batch_size == 20
    assert largest.tried["21"] is None
    assert "does not run (The step ran out of memory)" in largest.detail


def test_batches_beyond_the_memory_limit_are_no_knee() -> None:
    report = run(LoadWorld(), BenchmarkOptions(workload=ONE_RUNTIME, memory_mb=60))
    assert report.knees[0].batch_size == 8
    assert "more than is allowed" in report.knees[0].detail


def test_the_same_answers_lead_to_the_same_steps() -> None:
    first, second = LoadWorld(luck=0.02), LoadWorld(luck=0.02)
    assert run(first).model_dump() == run(second).model_dump()
    assert first.done == second.done
    assert all(isinstance(step, MeasureThroughput) for step in first.done)


def test_defaults_are_written_down() -> None:
    resolved = resolve_benchmark(BenchmarkOptions(), a_model(batch_size=4), None)
    assert resolved.scenario == Offline(batch_sizes=[4], threads=[1], instances=[1])
    assert BenchmarkOptions.model_validate(resolved.model_dump()) == resolved


def test_data_that_does_not_fit_is_refused() -> None:
    data = a_dataset()
    arrays = [array.model_copy(update={"name": "other"}) for array in data.inspection.arrays]
    other = data.model_copy(update={"inspection": data.inspection.model_copy(update={"arrays": arrays})})
    with pytest.raises(BadInput, match="'input' has no array") as refusal:
        resolve_benchmark(BenchmarkOptions(), a_model(), other)
    assert refusal.value.code == "data_does_not_fit"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"scenario": {"kind": "offline", "batch_sizes": [1, 2, 2]}}, "each is measured once, so name it once: 2"),
        ({"scenario": {"kind": "offline", "batch_sizes": [0]}}, "greater than or equal to 1"),
        ({"scenario": {"kind": "offline", "batch_sizes": []}}, "at least 1 item"),
        ({"scenario": {"kind": "offline", "instances": [2, 2]}}, "so name it once: 2"),
        ({"scenario": {"kind": "offline", "threads": [100_000]}}, "less than or equal to 1024"),
        ({"scenario": {"kind": "server", "latency_ms": float("inf")}}, "finite number"),
        ({"scenario": {"kind": "server", "latency_ms": 5.0, "rate_per_s": float("nan")}}, "finite number"),
        ({"scenario": {"kind": "single_stream", "duration_s": 0.0}}, "greater than 0"),
        ({"workload": {"batch_size": 8}}, "takes its batches from the scenario"),
        ({"settings": [{"runtime": "openvino"}, {"runtime": "openvino"}]}, "the same settings stand in settings twice"),
        ({"memory_mb": 100.0, "scenario": {"kind": "single_stream"}}, "ask for that one"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(asked: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        BenchmarkOptions.model_validate(asked)
