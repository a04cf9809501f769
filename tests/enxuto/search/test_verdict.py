"""What a search concludes under the margin that was asked for, and what it says where that stays open."""

from __future__ import annotations

from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.goal import Goal
from enxuto.machine import this_machine
from enxuto.report import OptimizeReport
from enxuto.request import OptimizeOptions
from enxuto.search.optimize import optimize
from enxuto.techniques import MagnitudePruning
from enxuto.workload import Workload
from tests.support.simulated_world import Facts, World, a_dataset, a_model

ONNXRUNTIME = Workload(runtimes=["onnxruntime"])
FASTER = Facts(speedup=1.3, drop=0.002)


def search(world: World, **asked: object) -> OptimizeReport:
    request = OptimizeOptions.model_validate({"workload": ONNXRUNTIME} | asked)
    plan = optimize(request, a_model(), a_dataset(), None, this_machine())
    return drive(plan, world, machine="here", journal=MemoryJournal(), control=Control())


def test_a_gain_within_the_margin_that_was_asked_for_is_none():
    usual, wide = search(World({"static_int8": FASTER})), search(World({"static_int8": FASTER}), margin=0.5)
    assert (usual.verdict, usual.margin) == ("improved", 0.03)
    assert (wide.verdict, wide.margin) == ("no_gain", 0.5)
    assert "as fast, and up to 50\u00a0% counts as equal" in wide.why


def test_the_margin_holds_for_files_too():
    smaller = World({"static_int8": Facts(size_bytes=3_000_000)})
    goal = Goal(minimize="size")
    assert search(smaller, goal=goal).verdict == "improved"
    assert search(World({"static_int8": Facts(size_bytes=3_000_000)}), goal=goal, margin=0.5).verdict == "no_gain"


def test_an_open_gain_says_what_was_seen_while_it_was_confirmed():
    report = search(World({"static_int8": Facts(speedup=1.035)}, luck=0.06, disturbed_share=0.25))
    assert report.verdict == "inconclusive"
    for words in ("margin of 3", "between 24 loads", "25.0", "disturbed", "load was 0.1"):
        assert words in report.why


def test_a_gain_that_processor_time_does_not_show_is_not_proven():
    report = search(World({"static_int8": Facts(speedup=2.0, cpu_speedup=1.0)}))
    assert (report.verdict, report.winner, report.unproven) == ("inconclusive", None, "static_int8")
    assert "wall and processor time disagree" in report.why


def test_a_recipe_whose_speed_stays_open_is_told_so():
    recipe = [MagnitudePruning(ratio=0.5)]
    world = World({"magnitude_pruning(ratio=0.5)": Facts(speedup=1.03, drop=0.0)}, luck=0.02)
    report = search(world, recipe=recipe)
    assert report.verdict == "inconclusive"
    assert "seen: the ratio varied by" in report.why
