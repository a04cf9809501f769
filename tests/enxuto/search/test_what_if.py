"""Another goal is answered from what an earlier search measured, and only what is new is done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enxuto.errors import BadInput
from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.goal import Goal, MaxDrop
from enxuto.machine import this_machine
from enxuto.recipe import recipe_name
from enxuto.report import Measurements, OptimizeReport
from enxuto.request import OptimizeOptions
from enxuto.search.optimize import optimize
from enxuto.search.trial import LATE
from enxuto.settings import OpenVinoSettings, RunSettings
from enxuto.signature import ModelInput
from enxuto.steps import ApplyRecipe, EvaluateModel, MeasureLatency
from enxuto.techniques import MagnitudePruning
from enxuto.workload import Workload
from tests.support.simulated_world import ORIGINAL, Facts, World, a_dataset, a_model, digest

FAST = Facts(speedup=2.2, size_bytes=1_500_000, drop=0.002)
SMALL = Facts(speedup=1.3, size_bytes=1_000_000, drop=0.001)
LOSSY = Facts(speedup=3.0, size_bytes=900_000, drop=0.03)
FACTS = {"static_int8": FAST, "dynamic_int8": SMALL, "graph_optimization": LOSSY}
PLAIN = Workload(runtimes=["onnxruntime"])


def ask(
    world: World, goal: Goal, earlier: OptimizeReport | None = None, /, *, model: ModelInput | None = None,
    **changes: object,
) -> OptimizeReport:  # fmt: skip
    request = OptimizeOptions.model_validate({"goal": goal, "workload": PLAIN} | changes)
    plan = optimize(request, model or a_model(), a_dataset(), None, this_machine(), earlier)
    return drive(plan, world, machine="here", journal=MemoryJournal(), control=Control())


@pytest.fixture(scope="module")
def earlier() -> OptimizeReport:
    report = ask(World(FACTS), Goal())
    assert report.winner == "static_int8"
    return report


def test_the_same_goal_is_answered_without_measuring_anything(earlier: OptimizeReport):
    world = World(FACTS)
    report = ask(world, Goal(), earlier)
    assert (report.verdict, report.winner, report.why) == ("improved", "static_int8", earlier.why)
    assert set(world.kinds()) <= {"calibrate_model", "apply_recipe", "assess_portability", "diagnose_model"}
    assert [candidate.name for candidate in report.candidates] == [candidate.name for candidate in earlier.candidates]
    assert report.earlier


def test_another_goal_chooses_among_what_was_measured_and_confirms_what_never_was(earlier: OptimizeReport):
    world = World(FACTS)
    report = ask(world, Goal(minimize="size"), earlier)
    assert (report.verdict, report.winner) == ("improved", "dynamic_int8")
    known = {digest(name) for name in FACTS}
    evaluated = [step for step in world.done if isinstance(step, EvaluateModel) and step.subject.model in known]
    assert all(step.samples.start >= earlier.splits.selection for step in evaluated), "only what proves"


def test_what_another_goal_confirmed_does_not_stand_as_looked_at_here(earlier: OptimizeReport):
    """Else its page would call it not confirmed."""
    report = ask(World(FACTS), Goal(minimize="size"), earlier)
    assert [each.name for each in earlier.candidates if each.confirmation] == ["static_int8"]
    assert [each.name for each in report.candidates if each.confirmation] == ["dynamic_int8"]
    assert [each.candidate for each in report.confirmations] == ["dynamic_int8"]


def test_why_an_earlier_goal_preferred_others_is_not_said_again():
    facts = {**FACTS, "static_int8(calibration=mse)": replace(FAST, sqnr_db=20.0)}
    first = ask(World(facts), Goal())
    again = ask(World(facts), Goal(max_drop=MaxDrop(value=0.02)), first)
    for report in (first, again):
        [aside] = [each for each in report.candidates if each.name == "static_int8(calibration=mse)"]
        assert [note.partition(":")[0] for note in aside.notes] == ["Set aside"]


def test_recipes_that_the_earlier_goal_did_not_ask_for_are_tried(earlier: OptimizeReport):
    small = "weight_only(bits=4, block_size=128, method=gptq)"
    world = World({**FACTS, small: Facts(speedup=0.9, size_bytes=600_000, drop=0.001)})
    report = ask(world, Goal(minimize="size"), earlier)
    assert (report.verdict, report.winner) == ("improved", small)
    applied = [recipe_name(step.recipe) for step in world.done if isinstance(step, ApplyRecipe)]
    assert len(applied) == len(set(applied))
    assert not {"static_int8", "graph_optimization"} & set(applied), "they were tried before"


def test_what_is_left_of_a_recipe_is_not_tried_where_the_earlier_search_did():
    facts = {**FACTS, "transformer_fusion → static_int8": Facts(fails={"apply_recipe": "nothing_to_fuse"})}
    model = a_model(operators={"Conv": 3, "Gemm": 2, "Erf": 3})
    first = ask(World(facts), Goal(minimize="size"), model=model)
    report = ask(World(facts), Goal(), first, model=model)
    names = [candidate.name for candidate in report.candidates]
    assert "transformer_fusion → static_int8" in names
    assert len(names) == len(set(names))
    assert (report.verdict, report.winner) == ("improved", "static_int8")


def test_other_runtimes_are_looked_at_where_time_counts_now_and_did_not_before():
    def fast(facts: Facts, settings: RunSettings) -> Facts:
        in_floats = isinstance(settings, OpenVinoSettings) and settings.precision == "f32"
        return replace(facts, speedup=2 * facts.speedup if in_floats else facts.speedup)

    both = Workload()
    first = ask(World(FACTS, under=fast), Goal(minimize="size"), workload=both)
    assert not any("@" in each.name for each in first.candidates)
    world = World(FACTS, under=fast)
    report = ask(world, Goal(), first, workload=both)
    assert (report.verdict, report.winner) == ("improved", "static_int8 @ openvino fixed shapes")
    assert [each.name for each in report.candidates].count("graph_optimization") == 1


def test_what_the_deadline_left_is_tried_when_the_same_is_asked_again():
    names = [*FACTS, "weight_only(bits=4)"]
    whole = ask(World({**FACTS, names[-1]: FAST}), Goal())
    late = [
        each.model_copy(update={"model": None, "outcome": "skipped", "reason": LATE, "selection": Measurements()})
        if each.name == "static_int8"
        else each
        for each in whole.candidates
    ]
    world = World({**FACTS, names[-1]: FAST})
    report = ask(world, Goal(), whole.model_copy(update={"candidates": late}))
    assert report.winner in ("static_int8", "weight_only(bits=4)")
    assert next(each for each in report.candidates if each.name == "static_int8").outcome == "feasible"


def test_what_was_rejected_comes_back_where_more_may_be_lost(earlier: OptimizeReport):
    """It was not timed in the earlier search, since it lost too much: that is new."""
    world = World(FACTS)
    report = ask(world, Goal(max_drop=MaxDrop(value=0.1)), earlier)
    assert (report.verdict, report.winner) == ("improved", "graph_optimization")
    assert any(isinstance(step, MeasureLatency) and step.load < 1000 for step in world.done)


def test_what_nothing_meets_is_told_from_what_was_measured(earlier: OptimizeReport):
    world = World(FACTS)
    report = ask(world, Goal(size_mb=0.5), earlier)
    assert (report.verdict, report.blocking) == ("no_gain", "size_mb")
    assert "measure_latency" not in world.kinds()


def test_an_answer_can_be_asked_again(earlier: OptimizeReport):
    second = ask(World(FACTS), Goal(minimize="size"), earlier)
    world = World(FACTS)
    third = ask(world, Goal(minimize="size"), second)
    assert (third.winner, third.why) == ("dynamic_int8", second.why)
    assert "evaluate_model" not in world.kinds()


def test_a_recipe_that_makes_another_file_now_gives_way_to_the_next(earlier: OptimizeReport):
    class Other(World):
        def _file(self, step, name):  # type: ignore[no-untyped-def]
            static = isinstance(step, ApplyRecipe) and step.recipe[0].kind == "static_int8"
            return "0" * 64 if static else super()._file(step, name)

    report = ask(Other(FACTS), Goal(), earlier)
    assert next(each for each in report.candidates if each.name == "static_int8").code == "not_reproduced"
    assert report.winner == "dynamic_int8"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 7}, "the seed differs"),
        ({"workload": Workload(batch_size=8)}, "the workload differs"),
        ({"goal": Goal(max_drop=MaxDrop(confidence=0.9))}, "how a drop is counted differs"),
        ({"goal": None, "recipe": [MagnitudePruning(ratio=0.5)]}, "a recipe stands instead"),
        ({"seed": 7, "workload": Workload(batch_size=8)}, "the workload, the seed differ."),
    ],
)
def test_what_differs_is_named(earlier: OptimizeReport, changes: dict[str, object], words: str):
    with pytest.raises(BadInput, match=words) as refusal:
        ask(World(FACTS), Goal(), earlier, **changes)
    assert refusal.value.code == "earlier_does_not_fit"


def test_another_model_other_data_and_another_machine_are_refused(earlier: OptimizeReport):
    request = OptimizeOptions(workload=PLAIN)
    elsewhere = this_machine().model_copy(update={"processor": "another one"})
    model = a_model().model_copy(update={"file": "f" * 64})
    for given, words in [
        ((model, a_dataset(), None, this_machine()), "the model"),
        ((a_model(), a_dataset(name="other.npz"), None, this_machine()), "the evaluation data"),
        ((a_model(), a_dataset(), a_dataset(name="own.npz"), this_machine()), "the calibration data"),
        ((a_model(), a_dataset(), None, elsewhere), "the machine or a library on it"),
    ]:
        with pytest.raises(BadInput, match=words):
            next(optimize(request, *given, earlier))


def test_what_was_stopped_is_answered_from_as_far_as_it_came():
    world = World({**FACTS, "static_int8": replace(FAST, speedup=2.5)})
    request = OptimizeOptions(goal=Goal(), workload=PLAIN)
    plan = optimize(request, a_model(), a_dataset(), None, this_machine())
    stop = Control(cancelled=lambda: "summarize_latency" in world.kinds())
    stopped = drive(plan, world, machine="here", journal=MemoryJournal(), control=stop)
    assert stopped.stopped == "cancelled"
    report = ask(World({**FACTS, "static_int8": replace(FAST, speedup=2.5)}), Goal(), stopped)
    assert (report.verdict, report.winner, report.recommended.sha256 != ORIGINAL) == ("improved", "static_int8", True)
