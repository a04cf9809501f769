"""Where nothing meets a goal, a report says what comes nearest and what stands in the way."""

from __future__ import annotations

from dataclasses import replace

from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.goal import Goal, MaxDrop
from enxuto.machine import this_machine
from enxuto.report import OptimizeReport
from enxuto.request import OptimizeOptions
from enxuto.search.optimize import optimize
from enxuto.workload import Workload
from tests.support.simulated_world import Facts, World, a_dataset, a_model

PLAIN = Workload(runtimes=["onnxruntime"])
LOSSY = Facts(speedup=2.0, size_bytes=1_000_000, drop=0.015, drop_spread=0.002)
RUINED = Facts(speedup=3.0, size_bytes=500_000, drop=0.2, drop_spread=0.01)
LARGE = Facts(speedup=1.5, size_bytes=3_000_000, drop=0.001)


def search(facts: dict[str, Facts], goal: Goal) -> OptimizeReport:
    request = OptimizeOptions(goal=goal, workload=PLAIN)
    plan = optimize(request, a_model(), a_dataset(), None, this_machine())
    return drive(plan, World(facts), machine="here", journal=MemoryJournal(), control=Control())


def test_the_nearest_are_told_by_what_they_miss_most() -> None:
    report = search({"static_int8": LOSSY, "dynamic_int8": RUINED}, Goal())
    assert [(miss.name, round(miss.short_by, 2)) for miss in report.nearest] == [
        ("static_int8", 0.5), ("dynamic_int8", 19.0),
    ]  # fmt: skip
    assert report.nearest[0].misses == ["loses 1.50\u00a0%, at most 1.00\u00a0% is allowed"]
    assert report.blocking == "max_drop"
    assert "The nearest, static_int8, loses 1.50" in report.why
    assert "stands in the way is the limit on what may be lost" in report.why


def test_the_constraint_in_the_way_is_the_one_without_which_a_candidate_would_do() -> None:
    """One is too large and faithful, one small enough and ruined: the limit on size is the nearer to give way."""
    report = search({"static_int8": LARGE, "dynamic_int8": RUINED}, Goal(size_mb=2.0))
    assert report.blocking == "size_mb"
    assert [miss.name for miss in report.nearest] == ["static_int8", "dynamic_int8"]


def test_no_single_constraint_is_named_where_each_candidate_misses_two() -> None:
    both = replace(RUINED, size_bytes=3_000_000)
    report = search({"static_int8": both, "dynamic_int8": replace(both, size_bytes=3_500_000)}, Goal(size_mb=2.0))
    assert report.blocking is None
    assert "No single one of the 2 constraints" in report.why


def test_constraints_are_not_blamed_for_models_that_are_ruined() -> None:
    ruined = Facts(speedup=3.0, size_bytes=500_000, drop=0.6, drop_spread=0.01, sqnr_db=1.0)
    lossy = {"static_int8": ruined, "dynamic_int8": replace(ruined, size_bytes=600_000)}
    report = search(lossy, Goal(max_drop=None))
    assert len(report.nearest) == 2
    assert "constraints stands in the way" not in report.why


def test_that_the_original_misses_a_constraint_as_well_is_said() -> None:
    assert "neither it nor any candidate meets" in search({"static_int8": LARGE}, Goal(size_mb=0.05)).why
    assert "no candidate meets" in search({"static_int8": LOSSY}, Goal()).why


def test_a_small_number_is_told_from_a_small_limit() -> None:
    tiny = replace(LARGE, size_bytes=12_400)
    assert "is 0.0124 MB large, allowed are 0.01 MB" in search({"static_int8": tiny}, Goal(size_mb=0.01)).why


def test_there_are_at_most_three() -> None:
    names = ["static_int8", "dynamic_int8", "weight_only", "half_weights", "weight_only(bits=4)"]
    report = search({name: replace(LOSSY, size_bytes=i + 1) for i, name in enumerate(names)}, Goal())
    assert len(report.nearest) == 3


def test_a_limit_of_nothing_can_be_missed_too() -> None:
    report = search({"static_int8": LOSSY}, Goal(max_drop=MaxDrop(value=0.0)))
    assert report.nearest[0].short_by == 0.015


def test_what_was_rejected_for_its_accuracy_is_timed_where_the_time_is_limited_too() -> None:
    """Else nobody could tell whether the limit on what may be lost is all that stands in the way."""
    report = search({"static_int8": RUINED}, Goal(p95_ms=10.0))
    assert report.blocking == "max_drop"
    assert report.nearest[0].name == "static_int8"


def test_a_report_with_a_winner_names_none() -> None:
    report = search({"static_int8": LARGE, "dynamic_int8": RUINED}, Goal())
    assert (report.winner, report.nearest, report.blocking) == ("static_int8", [], None)


def test_what_was_set_aside_unmeasured_is_not_said_to_meet_a_limit() -> None:
    fast = {"static_int8": LARGE, "static_int8(calibration=mse)": replace(LARGE, size_bytes=3_000_001, sqnr_db=20.0)}
    report = search(fast, Goal(p95_ms=0.5))
    assert {each.name: each.outcome for each in report.candidates if each.model} == {
        "static_int8": "infeasible", "static_int8(calibration=mse)": "skipped",
    }  # fmt: skip
