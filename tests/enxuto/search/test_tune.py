"""Other settings are candidates like any other: they win, lose, fail and run out of time in the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.goal import Goal
from enxuto.machine import Machine, this_machine
from enxuto.report import Candidate, OptimizeReport
from enxuto.request import OptimizeOptions
from enxuto.search.optimize import optimize
from enxuto.search.plan import Reply
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings, RunSettings
from enxuto.signature import ModelInput
from enxuto.steps import ApplyRecipe, EvaluateModel, MeasureLatency, MeasureMemory
from enxuto.workload import Workload
from tests.support.simulated_world import ORIGINAL, Facts, World, a_dataset, a_model

INT8 = Facts(speedup=2.2, size_bytes=1_000_000, drop=0.002)
OPENVINO = OpenVinoSettings(fixed_shapes=True)
WITHOUT_BFLOAT16 = this_machine().model_copy(update={"instruction_sets": ["avx2"]})
MACHINE = this_machine().model_copy(update={"instruction_sets": ["avx2", "avx512_bf16"]})


def on(runtime: str, *, times: float = 1.0, **changes: object) -> Callable[[Facts, RunSettings], Facts]:
    """What is true of every model on one runtime."""

    def under(facts: Facts, settings: RunSettings) -> Facts:
        if settings.runtime != runtime:
            return facts
        return replace(facts, speedup=facts.speedup * times, **changes)  # type: ignore[arg-type]

    return under


def search(
    world: World, request: OptimizeOptions | None = None, *, control: Control | None = None, machine: Machine = MACHINE,
    journal: MemoryJournal | None = None, model: ModelInput | None = None,
) -> OptimizeReport:  # fmt: skip
    plan = optimize(request or OptimizeOptions(), model or a_model(), a_dataset(), None, machine)
    return drive(plan, world, machine="here", journal=journal or MemoryJournal(), control=control or Control())


def row(report: OptimizeReport, name: str) -> Candidate:
    return next(candidate for candidate in report.candidates if candidate.name == name)


def test_what_was_best_wins_under_better_settings_and_says_which() -> None:
    report = search(World({"static_int8": INT8}, under=on("openvino", times=1.3)))
    assert (report.verdict, report.winner) == ("improved", "static_int8 @ openvino fixed shapes")
    assert row(report, "static_int8 @ openvino fixed shapes").settings == OPENVINO
    assert report.recommended == row(report, "static_int8").model


def test_the_original_itself_can_win_under_better_settings() -> None:
    report = search(World({}, under=on("openvino", times=1.5)), machine=WITHOUT_BFLOAT16)
    assert (report.verdict, report.winner, report.recommended.sha256) == (
        "improved",
        "original @ openvino fixed shapes",
        ORIGINAL,
    )
    winner = row(report, "original @ openvino fixed shapes")
    assert winner.recipe == []
    assert winner.confirmation is not None
    assert winner.confirmation.speedup is not None


def test_settings_must_pay_by_more_than_the_margin() -> None:
    report = search(World({"static_int8": INT8}, under=on("openvino", times=1.02)))
    assert report.winner == "static_int8"
    assert not any("@" in name for name in report.pareto)


def test_every_speedup_is_against_the_original_under_the_defaults_of_the_first_runtime() -> None:
    for first, second in (("onnxruntime", "openvino"), ("openvino", "onnxruntime")):
        world = World({"static_int8": INT8})
        search(world, OptimizeOptions(workload=Workload(runtimes=[first, second])))  # type: ignore[list-item]
        timed = [step for step in world.done if isinstance(step, MeasureLatency)]
        assert {(step.subjects[0].model, step.subjects[0].settings.runtime) for step in timed} == {(ORIGINAL, first)}
        assert {subject.settings.runtime for step in timed for subject in step.subjects} == {first, second}


def test_settings_are_timed_in_the_same_loads_as_what_they_are_tried_on() -> None:
    world = World({"static_int8": INT8})
    search(world, OptimizeOptions(workload=Workload(threads=2)))
    for loads in (range(250), range(500, 1000)):
        together = [step for step in world.done if isinstance(step, MeasureLatency) and step.load in loads]
        assert len(together) == 3
        plain = [subject.model for subject in together[0].subjects if subject.settings == OnnxRuntimeSettings()]
        assert (plain[0], len(set(plain))) == (ORIGINAL, 2)


def test_precision_that_costs_too_much_accuracy_is_rejected_by_its_own_evaluation() -> None:
    def under(facts: Facts, settings: RunSettings) -> Facts:
        rounded = isinstance(settings, OpenVinoSettings) and settings.precision == "bf16"
        return replace(facts, speedup=9.0, drop=0.2) if rounded else facts

    report = search(World({"static_int8": INT8}, under=under))
    assert row(report, "original @ openvino bf16 fixed shapes").outcome == "infeasible"
    assert report.winner == "static_int8"


@pytest.mark.parametrize("step", ["evaluate_model", "measure_latency"])
def test_settings_that_fail_are_a_row_with_its_reason(step: str) -> None:
    report = search(World({"static_int8": INT8}, under=on("openvino", fails={step: "step_crashed"})))
    failing = row(report, "static_int8 @ openvino fixed shapes")
    assert (failing.outcome, failing.code, failing.settings) == ("failed", "step_crashed", OPENVINO)
    assert report.winner == "static_int8"


def test_a_runtime_that_loads_neither_the_original_nor_a_recipe_is_not_asked_again() -> None:
    facts = dict.fromkeys(("static_int8", "dynamic_int8", "weight_only"), INT8)
    refused = search(World(facts, under=on("openvino", fails={"evaluate_model": "model_fails_to_load"})))
    crashed = search(World(facts, under=on("openvino", fails={"evaluate_model": "step_crashed"})))
    under = [
        [each for each in report.candidates if each.settings.runtime == "openvino"] for report in (refused, crashed)
    ]
    assert [bool(each.recipe) for each in under[0]] == [False, False, True]
    assert {each.code for each in under[0]} == {"model_fails_to_load"}
    assert len(under[1]) > 3, "what fails otherwise says nothing of the next"
    assert refused.winner == crashed.winner == "dynamic_int8"


def test_settings_that_change_no_result_take_the_accuracy_over_and_the_confirmation_measures_it() -> None:
    def under(facts: Facts, settings: RunSettings) -> Facts:
        return replace(facts, speedup=facts.speedup * 1.4) if settings.threads == 1 else facts

    request = OptimizeOptions(workload=Workload(threads=2, runtimes=["onnxruntime"]))
    world = World({"static_int8": INT8}, under=under)
    report = search(world, request)
    winner = row(report, "static_int8 @ one thread")
    assert report.winner == winner.name
    assert winner.selection.drop == row(report, "static_int8").selection.drop
    assert "accuracy is that of static_int8" in winner.notes[0]
    evaluated = [step.subject.settings for step in world.done if isinstance(step, EvaluateModel)]
    assert evaluated[-1] == winner.settings
    assert OnnxRuntimeSettings(spinning=False) not in evaluated


def test_memory_is_measured_under_the_settings_where_it_counts() -> None:
    def under(facts: Facts, settings: RunSettings) -> Facts:
        lean = isinstance(settings, OnnxRuntimeSettings) and not settings.arena
        return replace(facts, memory_bytes=60_000_000) if lean else facts

    world = World({"static_int8": replace(INT8, memory_bytes=80_000_000)}, under=under)
    report = search(world, OptimizeOptions(goal=Goal(minimize="memory")))
    assert report.winner in ("static_int8 @ no arena", "original @ no arena")
    of_original = [step for step in world.done if isinstance(step, MeasureMemory) and step.subject.model == ORIGINAL]
    plain = [step for step in of_original if step.subject.settings == OnnxRuntimeSettings()]
    assert len(plain) == 2, "once to choose and once to confirm"


def test_a_recipe_is_run_as_usual_and_nothing_else_is_tried() -> None:
    report = search(World({"static_int8": INT8}))
    recipe = row(report, "static_int8").recipe
    asked = search(World({"static_int8": INT8}, under=on("openvino", times=2)), OptimizeOptions(recipe=recipe))
    assert [candidate.name for candidate in asked.candidates] == ["static_int8"]


def test_a_deadline_leaves_settings_untried_and_still_confirms_what_was_found() -> None:
    plan = optimize(OptimizeOptions(), a_model(), a_dataset(), None, MACHINE)
    world = World({"static_int8": INT8}, under=on("openvino", times=1.5))
    task = next(plan)
    try:
        while True:
            late = any(isinstance(step, ApplyRecipe) for step in world.done)
            outcome = world(task.step, stop=lambda: False)
            task = plan.send(Reply(outcome, 8.0 if late else 500.0))
    except StopIteration as end:
        report: OptimizeReport = end.value
    assert row(report, "static_int8 @ openvino fixed shapes").outcome == "skipped"
    assert (report.winner, report.stopped) == ("static_int8", "deadline")


def test_a_cancel_while_settings_are_tried_names_the_best_so_far() -> None:
    world = World({"static_int8": INT8}, under=on("openvino", times=0.9))
    one_thread = OnnxRuntimeSettings(threads=1)
    control = Control(cancelled=lambda: one_thread in _timed_settings(world))
    report = search(world, OptimizeOptions(workload=Workload(threads=2)), control=control)
    assert (report.stopped, report.unproven, report.recommended.sha256) == ("cancelled", "static_int8", ORIGINAL)


def test_a_resumed_search_repeats_no_setting_and_reports_the_same() -> None:
    journal, world = MemoryJournal(), World({"static_int8": INT8}, under=on("openvino", times=1.3))
    first = search(world, journal=journal)
    again = World({"static_int8": INT8})
    assert search(again, journal=journal) == first
    assert again.done == []


def _timed_settings(world: World) -> list[RunSettings]:
    timed = [step for step in world.done if isinstance(step, MeasureLatency)]
    return [subject.settings for step in timed for subject in step.subjects]


def test_under_openvino_integers_are_laid_out_for_it_where_that_pays() -> None:
    laid_out = Facts(speedup=2.3, size_bytes=990_000, drop=0.001)
    world = World({"static_int8": INT8, "static_int8(layout=openvino)": laid_out})
    model = a_model(operators={"Conv": 3, "HardSwish": 3, "Gemm": 1})
    report = search(world, model=model)
    assert any("laid out for OpenVINO" in note for note in row(report, report.winner or "").notes)
    assert report.winner == "static_int8(layout=openvino) @ openvino fixed shapes"
    assert {candidate.settings.runtime for candidate in report.candidates if "layout" in candidate.name} == {"openvino"}
    assert not any(each.name.startswith("static_int8 @ openvino") for each in report.candidates)


def test_attention_is_laid_out_for_openvino_too() -> None:
    laid_out = Facts(speedup=2.3, size_bytes=990_000, drop=0.001)
    world = World({"static_int8": INT8, "static_int8(layout=openvino)": laid_out})
    report = search(world, model=a_model(operators={"MatMul": 12, "Softmax": 2, "Relu": 2, "Add": 12}))
    assert report.winner == "static_int8(layout=openvino) @ openvino fixed shapes"


def test_where_one_file_is_fast_under_both_runtimes_no_other_is_made() -> None:
    laid_out = Facts(speedup=2.3, size_bytes=990_000, drop=0.001)
    world = World({"static_int8": INT8, "static_int8(layout=openvino)": laid_out}, under=on("openvino", times=1.3))
    report = search(world, model=a_model(operators={"Conv": 3, "Relu": 3, "Add": 1, "Gemm": 1}))
    assert report.winner == "static_int8 @ openvino fixed shapes"
    assert not any("layout" in each.name for each in report.candidates)


def test_where_openvino_alone_runs_models_nothing_is_laid_out_for_another() -> None:
    world = World({"static_int8(layout=openvino)": INT8})
    report = search(world, OptimizeOptions(workload=Workload(runtimes=["openvino"])))
    assert report.winner is not None
    assert report.winner.startswith("static_int8(layout=openvino)")
    assert not any(each.name == "static_int8" for each in report.candidates)
