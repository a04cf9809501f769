"""What load scenarios come to, told from which rates a model carries."""

from __future__ import annotations

import pytest

from enxuto.errors import EnxutoError, Finding
from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.machine import this_machine
from enxuto.report import BenchmarkReport, ScenarioResult
from enxuto.request import BenchmarkOptions
from enxuto.scenario import Batching, MultiStream, Scenario, Server, SingleStream
from enxuto.search.benchmark import benchmark
from enxuto.search.mlperf import RULES, queries_wanted, surely_misses
from enxuto.search.rate import MOST_RUNS, RESOLUTION
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.steps import MOST_QUERIES, OneByOne, Poisson, RunLoad
from tests.support.simulated_load import DOES_NOT_RUN, NO_MEMORY, LoadWorld
from tests.support.simulated_world import a_model

TOO_LARGE = Finding(code="load_too_large", detail="That is more than 5,000,000 queries.")


def run(world: LoadWorld, scenario: Scenario, settings: list[RunSettings] | None = None) -> BenchmarkReport:
    request = BenchmarkOptions(scenario=scenario, settings=settings)
    plan = benchmark(request, a_model(), None, this_machine())
    return drive(plan, world, machine="here", journal=MemoryJournal(), control=Control())


def result(report: BenchmarkReport) -> ScenarioResult:
    assert report.scenario is not None
    return report.scenario


def test_single_stream_reports_the_p90_and_that_the_run_was_short() -> None:
    found = result(run(LoadWorld(call_ms=lambda batch: 2.0), SingleStream()))
    assert (found.figure, found.value, found.unit, found.valid) == ("p90 latency", 2.0, "ms", False)
    assert "which want runs of 600 s (this one took 10.0\xa0s)." in found.detail


def test_a_run_of_ten_minutes_is_long_enough_for_mlperf() -> None:
    found = result(run(LoadWorld(), MultiStream(duration_s=600.0)))
    assert (found.figure, found.valid) == ("p99 latency", True)
    assert "Long enough for MLPerf's rules." in found.detail


def test_mlperfs_multi_stream_has_eight_samples_in_a_query() -> None:
    world = LoadWorld()
    found = result(run(world, MultiStream(duration_s=600.0, samples_per_query=4)))
    assert [step.arrivals for step in world.done if isinstance(step, RunLoad)] == [OneByOne(samples_per_query=4)]
    assert found.valid is False
    assert "8 samples in a query" in found.detail


def test_a_percentile_that_the_queries_do_not_carry_is_null_and_says_how_long_would_do() -> None:
    found = result(run(LoadWorld(call_ms=lambda batch: 50.0), MultiStream(duration_s=10.0)))
    assert found.value is None
    assert "200 queries do not carry p99: ask for a duration_s of 55 at least" in found.detail


def test_of_several_settings_the_best_is_the_figure_and_all_are_told() -> None:
    settings: list[RunSettings] = [OnnxRuntimeSettings(), OpenVinoSettings()]
    report = run(LoadWorld(), SingleStream(), settings)
    assert [each.settings.runtime for each in report.runs] == ["onnxruntime", "openvino"]
    assert "ONNX Runtime" in result(report).detail
    assert "OpenVINO" in result(report).detail


@pytest.mark.parametrize("highest", [20.0, 137.0, 990.0, 5000.0])
def test_the_highest_rate_that_holds_is_found_to_three_percent(highest: float) -> None:
    world = LoadWorld(holds_up_to=highest)
    report = run(world, Server(latency_ms=20.0, duration_s=100.0))
    value = result(report).value
    assert value is not None
    assert highest / (1 + RESOLUTION) <= value <= highest
    assert world.rates().count(value) == 2  # a single run is noise
    failing = min(rate for rate in world.rates() if rate > highest)
    assert failing <= value * (1 + RESOLUTION)
    assert world.rates().count(failing) == 2
    assert "does not hold" in result(report).detail


def test_repeats_at_the_edge_draw_other_arrivals_and_first_runs_the_same() -> None:
    world = LoadWorld(holds_up_to=137.0)
    run(world, Server(latency_ms=20.0, duration_s=100.0))
    steps = [step for step in world.done if isinstance(step, RunLoad)]
    assert {(step.load, step.seed) for step in steps} == {(0, 0), (1, 1)}


@pytest.mark.parametrize("wrong", [3, 5, 8])
def test_a_single_run_that_was_disturbed_does_not_mislead(wrong: int) -> None:
    """One run says the opposite of what is true, wherever in the search it stands."""
    world = LoadWorld(holds_up_to=137.0)
    world.fluke = lambda step: len(world.rates()) == wrong and step.load == 0
    value = result(run(world, Server(latency_ms=20.0, duration_s=100.0))).value
    assert value is not None
    assert 137.0 / (1 + RESOLUTION) <= value <= 137.0


def test_noise_without_end_ends_all_the_same() -> None:
    world = LoadWorld()
    world.fluke = lambda step: len(world.done) % 2 == 0
    run(world, Server(latency_ms=20.0, duration_s=100.0))
    assert len(world.rates()) <= MOST_RUNS


def test_runs_at_the_edge_last_until_they_carry_the_percentile() -> None:
    """Ten seconds at fifty a second are 500 queries; p99 wants a thousand."""
    world = LoadWorld(holds_up_to=50.0)
    report = run(world, Server(latency_ms=20.0, duration_s=10.0))
    assert result(report).value is not None
    lengths = {step.duration_s for step in world.done if isinstance(step, RunLoad) and step.load}
    assert min(lengths) > 20


def test_a_rate_too_low_for_the_percentile_has_no_value_and_says_so() -> None:
    report = run(LoadWorld(holds_up_to=14.0), Server(latency_ms=20.0, duration_s=1.0))
    assert result(report).value is None
    assert "too short to carry p99: ask for a duration_s of" in result(report).detail


def test_a_limit_that_even_the_lowest_rate_misses_is_a_result() -> None:
    report = run(LoadWorld(holds_up_to=0.0), Server(latency_ms=20.0))
    assert (result(report).value, result(report).valid) == (None, False)
    assert "no rate holds p99 within 20.0\xa0ms: the lowest that was tried is" in report.why


def test_a_limit_below_the_time_of_a_single_call_takes_no_search() -> None:
    world = LoadWorld(call_ms=lambda batch: 30.0)
    report = run(world, Server(latency_ms=20.0))
    assert len(world.done) == 1
    assert "even alone a query takes 30.0\xa0ms" in result(report).detail


@pytest.mark.parametrize(
    ("rate", "holds", "words"), [(90.0, True, "holds p99"), (110.0, False, "does not hold"), (5.0, None, "may or may")]
)
def test_a_rate_that_is_asked_for_is_run_once(rate: float, holds: bool | None, words: str) -> None:
    world = LoadWorld(holds_up_to=100.0)
    report = run(world, Server(latency_ms=20.0, rate_per_s=rate, batching=Batching(max_batch=4)))
    assert [(each.rate_per_s, each.holds) for each in report.runs] == [(rate, holds)]
    assert result(report).value == (rate if holds else None)
    assert words in result(report).detail
    assert [step.batching.max_batch for step in world.done if isinstance(step, RunLoad)] == [4]


def test_a_run_that_runs_out_of_memory_does_not_hold() -> None:
    """More requests wait than memory holds: a lower rate may do."""
    world = LoadWorld(holds_up_to=1e9)
    world.fails = lambda step: (
        NO_MEMORY if isinstance(step, RunLoad) and getattr(step.arrivals, "rate_per_s", 0) > 137 else None
    )
    report = run(world, Server(latency_ms=20.0, duration_s=100.0))
    value = result(report).value
    assert value is not None
    assert 137 / (1 + RESOLUTION) <= value <= 137
    assert {each.code for each in report.runs if each.outcome == "failed"} == {"out_of_memory"}


def test_a_rate_whose_run_would_be_too_large_is_not_tried() -> None:
    """In the ten minutes that MLPerf wants, 8,333 queries a second are all that a run takes."""
    world = LoadWorld(call_ms=lambda batch: 0.1, holds_up_to=1e9)
    world.fails = lambda step: (
        TOO_LARGE if isinstance(step, RunLoad) and isinstance(step.arrivals, Poisson)
        and step.arrivals.rate_per_s * step.duration_s > MOST_QUERIES else None
    )  # fmt: skip
    found = result(run(world, Server(latency_ms=20.0, duration_s=600.0)))
    assert found.value == MOST_QUERIES // 600
    assert "no rate was found that does not hold, and no higher one was tried" in found.detail


def test_a_model_that_does_not_run_fails_the_job() -> None:
    with pytest.raises(EnxutoError) as failure:
        run(LoadWorld(fails=lambda step: DOES_NOT_RUN), Server(latency_ms=20.0))
    assert failure.value.code == "model_fails_to_run"


def test_mlperfs_fewest_queries_are_those_of_its_criterion() -> None:
    """LoadGen's own configuration has the second of them: ``MultiStream.min_query_count = 662``."""
    assert [queries_wanted(90, 1), queries_wanted(99, 1), queries_wanted(99, 0)] == [64, 662, 459]
    assert [RULES[name].least_queries for name in ("single_stream", "multi_stream", "server")] == [64, 662, 459]


def test_few_queries_can_show_a_miss_and_not_that_a_percentile_holds() -> None:
    assert surely_misses(99, queries=100, over_limit=8)
    assert not surely_misses(99, queries=100, over_limit=2)
