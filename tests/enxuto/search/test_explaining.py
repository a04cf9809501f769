"""What was lost is followed to the layers, what got slower to the operators; nothing depends on it."""

from __future__ import annotations

from dataclasses import replace

from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.machine import this_machine
from enxuto.report import Candidate, OptimizeReport
from enxuto.request import OptimizeOptions
from enxuto.search.optimize import optimize
from enxuto.settings import RunSettings
from enxuto.steps import DiagnoseModel, ProfileModel
from enxuto.workload import Workload
from tests.support.simulated_world import ORIGINAL, Facts, World, a_dataset, a_model

PLAIN = Workload(runtimes=["onnxruntime"])
GOOD = Facts(speedup=2.2, size_bytes=1_000_000, drop=0.0)
LOSSY = Facts(speedup=1.5, size_bytes=2_000_000, drop=0.1)
SLOW = Facts(speedup=0.1, size_bytes=3_000_000, drop=0.0)


def search(world: World, control: Control | None = None) -> OptimizeReport:
    plan = optimize(OptimizeOptions(workload=PLAIN), a_model(), a_dataset(), None, this_machine())
    return drive(plan, world, machine="here", journal=MemoryJournal(), control=control or Control())


def row(report: OptimizeReport, name: str) -> Candidate:
    return next(candidate for candidate in report.candidates if candidate.name == name)


def test_a_candidate_that_lost_accuracy_is_diagnosed_and_one_that_did_not_is_not() -> None:
    report = search(World({"static_int8": GOOD, "dynamic_int8": LOSSY}))
    diagnosis = row(report, "dynamic_int8").diagnosis
    assert diagnosis is not None
    assert diagnosis.layers[0].name == "conv1"
    assert row(report, "static_int8").diagnosis is None


def test_at_most_three_are_diagnosed_each_file_once_the_best_first() -> None:
    names = ["static_int8", "dynamic_int8", "weight_only", "half_weights", "weight_only(bits=4)"]
    world = World({name: replace(LOSSY, size_bytes=1 + i) for i, name in enumerate(names)})
    search(world)
    models = [step.subject.model for step in world.done if isinstance(step, DiagnoseModel)]
    assert len(models) == len(set(models)) == 3


def test_one_that_got_slower_names_the_operators() -> None:
    report = search(World({"static_int8": GOOD, "dynamic_int8": SLOW}))
    [operator] = row(report, "dynamic_int8").slower
    assert (operator.name, operator.operator) == ("conv1", "Conv")
    assert (operator.before_us, round(operator.after_us)) == (1000.0, 10_000)
    assert row(report, "static_int8").slower == []


def test_a_cancel_while_it_explains_keeps_what_was_decided() -> None:
    world = World({"static_int8": GOOD, "dynamic_int8": LOSSY})
    report = search(world, Control(cancelled=lambda: "assess_portability" in world.kinds()))
    assert (report.verdict, report.winner, report.stopped) == ("improved", "static_int8", "cancelled")
    assert report.recommended.sha256 != ORIGINAL


def test_no_operator_is_blamed_for_what_settings_cost() -> None:
    def under(facts: Facts, settings: RunSettings) -> Facts:
        return replace(facts, speedup=0.7) if settings.runtime == "openvino" else facts

    plan = optimize(OptimizeOptions(), a_model(), a_dataset(), None, this_machine())
    world = World({"static_int8": GOOD, "dynamic_int8": SLOW}, under=under)
    report = drive(plan, world, machine="here", journal=MemoryJournal(), control=Control())
    slow = [each for each in report.candidates if each.selection.speedup and each.selection.speedup.value < 0.8]
    assert {each.settings.runtime for each in slow} == {"onnxruntime", "openvino"}
    profiled = [step.subject.settings.runtime for step in world.done if isinstance(step, ProfileModel)]
    assert set(profiled) == {"onnxruntime"}
