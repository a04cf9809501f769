"""Where the best is not proven, what is likelier to be is looked at next, and all looks together are wrong as seldom as
one would be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.goal import Goal, MaxDrop
from enxuto.judge.chance import chance_of_proof
from enxuto.machine import this_machine
from enxuto.report import Candidate, OptimizeReport
from enxuto.request import OptimizeOptions
from enxuto.search.looks import MOST_LOOKS, confidences
from enxuto.search.optimize import optimize
from enxuto.search.plan import Reply
from enxuto.settings import RunSettings
from enxuto.steps import Drop, EvaluateModel, MeasureLatency
from enxuto.workload import Workload
from tests.support.simulated_world import ORIGINAL, Facts, World, a_dataset, a_model

FAST = Facts(speedup=2.5, size_bytes=1_000_000, drop=0.004, drop_spread=0.005)
SAFE = Facts(speedup=1.9, size_bytes=2_000_000, drop=0.0005, drop_spread=0.003)
ALMOST = Facts(speedup=1.05, size_bytes=3_900_000, drop=0.0, drop_spread=0.001)
FACTS = {"static_int8": FAST, "dynamic_int8": SAFE}
PLAIN = Workload(runtimes=["onnxruntime"])


def search(
    world: World, goal: Goal | None = None, *, earlier: OptimizeReport | None = None, control: Control | None = None,
    workload: Workload = PLAIN,
) -> OptimizeReport:  # fmt: skip
    request = OptimizeOptions(workload=workload, goal=goal or Goal())
    plan = optimize(request, a_model(), a_dataset(), None, this_machine(), earlier)
    return drive(plan, world, machine="here", journal=MemoryJournal(), control=control or Control())


def loses_more(facts: Facts) -> Facts:
    """What was the fastest loses twice as much as it looked like."""
    return replace(facts, drop=0.008) if facts.speedup == 2.5 else facts


def test_what_is_likelier_to_be_proven_is_confirmed_where_the_best_is_not():
    report = search(World(FACTS, proven=loses_more))
    assert (report.verdict, report.winner, report.unproven) == ("improved", "dynamic_int8", None)
    looks = [(each.candidate, each.confidence, each.verdict) for each in report.confirmations]
    assert looks == [("static_int8", 0.96, "inconclusive"), ("dynamic_int8", 0.99, "improved")]
    confirmed = {each.name: each.confirmation for each in report.candidates if each.confirmation}
    held_to = {
        name: (seen.drop.confidence, seen.speedup.confidence)
        for name, seen in confirmed.items()
        if seen.drop and seen.speedup
    }
    assert held_to == {"static_int8": (0.96, 0.96), "dynamic_int8": (0.99, 0.99)}
    assert "Looked at before it: static_int8" in report.why
    assert "at 99\u00a0% confidence" in report.why


def test_the_original_is_evaluated_once_for_all_looks_and_no_load_serves_two():
    world = World(FACTS, proven=loses_more)
    report = search(world)
    proving = [
        each
        for each in world.done
        if isinstance(each, EvaluateModel) and each.samples.stop - each.samples.start == report.splits.confirmation
    ]
    assert [each.subject.model == ORIGINAL for each in proving] == [True, False, False]
    loads = [step.load for step in world.done if isinstance(step, MeasureLatency)]
    assert len(loads) == len(set(loads))
    assert report.baseline.confirmation == report.confirmations[-1].baseline != report.confirmations[0].baseline


def test_the_order_is_settled_by_the_samples_that_choose():
    """However the first one fails, the same one follows."""
    reasons = [loses_more, lambda facts: replace(facts, drop=0.2) if facts.speedup == 2.5 else facts,
               lambda facts: replace(facts, speedup=0.9) if facts.speedup == 2.5 else facts]  # fmt: skip
    reports = [search(World({**FACTS, "graph_optimization": ALMOST}, proven=each)) for each in reasons]
    assert [[look.candidate for look in report.confirmations] for report in reports] == [
        ["static_int8", "dynamic_int8"]
    ] * 3
    assert [report.winner for report in reports] == ["dynamic_int8"] * 3


def test_where_there_is_nothing_to_fall_back_on_one_look_gets_everything():
    report = search(World({"static_int8": FAST}, proven=loses_more))
    assert [each.confidence for each in report.confirmations] == [0.95]
    assert (report.verdict, report.unproven) == ("inconclusive", "static_int8")


def test_what_is_no_likelier_to_be_proven_is_nothing_to_fall_back_on():
    slower = replace(FAST, speedup=1.2, drop=0.009, size_bytes=1_100_000)
    report = search(World({"static_int8": FAST, "dynamic_int8": slower}, proven=loses_more))
    assert [(each.candidate, each.confidence) for each in report.confirmations] == [("static_int8", 0.95)]


def test_another_runtime_is_nothing_to_fall_back_on_where_it_loses_the_same():
    def quicker(facts: Facts, _: RunSettings) -> Facts:
        return replace(facts, speedup=1.1 * facts.speedup)

    def none_holds(facts: Facts) -> Facts:
        return replace(facts, drop=0.008)

    report = search(World(FACTS, under=quicker, proven=none_holds), workload=Workload())
    looks = [each.candidate.partition(" @ ")[0] for each in report.confirmations]
    assert looks == ["static_int8", "dynamic_int8"]


def test_where_no_look_proves_anything_the_first_that_may_be_as_good_is_named():
    report = search(World(FACTS, proven=lambda facts: replace(facts, drop=0.009)))
    assert (report.verdict, report.winner, report.unproven) == ("inconclusive", None, "static_int8")
    assert [each.verdict for each in report.confirmations] == ["inconclusive"] * 2
    assert "Looked at besides: dynamic_int8" in report.why
    assert report.baseline.confirmation == report.confirmations[0].baseline


def test_what_surely_loses_too_much_is_not_called_unproven_where_another_may_be_as_good():
    lost = {2.5: 0.2, 1.9: 0.009}
    report = search(World(FACTS, proven=lambda facts: replace(facts, drop=lost.get(facts.speedup, facts.drop))))
    assert (report.verdict, report.unproven) == ("inconclusive", "dynamic_int8")


def test_that_no_look_saw_a_gain_is_no_gain():
    report = search(World(FACTS, proven=lambda facts: replace(facts, speedup=1.0)))
    assert (report.verdict, len(report.confirmations)) == ("no_gain", 2)
    assert "dynamic_int8: 1.00" in report.why


def test_no_time_for_another_look_leaves_what_the_first_one_showed():
    plan = optimize(OptimizeOptions(workload=PLAIN), a_model(), a_dataset(), None, this_machine())
    world = World(FACTS, proven=loses_more)
    task, remaining = next(plan), 60.0
    try:
        while True:
            confirming = isinstance(task.step, MeasureLatency) and task.step.load >= 1000
            remaining -= 9.0 if confirming else 0.1
            task = plan.send(Reply(world(task.step, stop=lambda: False), remaining))
    except StopIteration as end:
        report: OptimizeReport = end.value
    assert (report.stopped, report.unproven, len(report.confirmations)) == ("deadline", "static_int8", 1)


def test_a_cancel_during_a_further_look_keeps_what_the_first_one_showed():
    world = World(FACTS, proven=loses_more)
    second = Control(cancelled=lambda: sum(isinstance(e, MeasureLatency) and e.load == 1101 for e in world.done) > 0)
    report = search(world, control=second)
    assert (report.stopped, report.verdict, report.unproven) == ("cancelled", "inconclusive", "static_int8")
    assert [each.candidate for each in report.confirmations] == ["static_int8"]
    assert "cancelled before anything else was proven" in report.why


def test_a_cancel_after_a_further_look_proved_something_keeps_that():
    world = World(FACTS, proven=loses_more)
    memory = Control(cancelled=lambda: world.kinds().count("measure_memory") > 2)
    report = search(world, control=memory)
    assert (report.stopped, report.winner) == ("cancelled", "dynamic_int8")


def test_an_answer_that_took_two_looks_is_given_again_without_measuring():
    first = search(World(FACTS, proven=loses_more))
    world = World(FACTS, proven=loses_more)
    again = search(world, earlier=first)
    assert (again.why, again.confirmations) == (first.why, first.confirmations)
    assert not {"evaluate_model", "measure_latency"} & set(world.kinds())


def test_a_look_of_an_earlier_search_that_was_held_to_less_is_taken_anew():
    alone = search(World(FACTS))
    assert [each.confidence for each in alone.confirmations] == [0.96]
    world = World(FACTS)
    other = search(world, Goal(p95_ms=100.0, max_drop=MaxDrop(value=0.02)), earlier=alone)
    assert [each.candidate for each in other.confirmations] == ["static_int8"]
    assert "evaluate_model" not in world.kinds(), "0.96 is more than the one look wants"
    earlier = alone.model_copy(
        update={"confirmations": [], "candidates": [_held_to(each) for each in alone.candidates]}
    )
    world = World(FACTS)
    search(world, earlier=earlier)
    assert "evaluate_model" in world.kinds()


def _held_to(candidate: Candidate) -> Candidate:
    seen = candidate.confirmation
    if seen is None or seen.drop is None:
        return candidate
    drop = seen.drop.model_copy(update={"confidence": 0.95})
    return candidate.model_copy(update={"confirmation": seen.model_copy(update={"drop": drop})})


def test_an_estimate_is_asked_for_and_given_however_many_looks_there_are():
    goal = Goal(max_drop=MaxDrop(value=0.01, confidence=0.5))
    report = search(
        World(FACTS, proven=lambda facts: replace(facts, drop=0.02) if facts.speedup == 2.5 else facts), goal
    )
    assert [each.confidence for each in report.confirmations] == [0.5, 0.5]
    assert report.winner == "dynamic_int8"


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
@pytest.mark.parametrize("looks", range(1, MOST_LOOKS + 1))
def test_what_looks_may_be_wrong_by_adds_up_to_what_was_asked(confidence: float, looks: int):
    held_to = confidences(confidence, looks)
    assert sum(1 - each for each in held_to) == pytest.approx(1 - confidence)
    assert held_to == sorted(held_to)


def a_drop(value: float, high: float, **changes: object) -> Drop:
    return Drop(
        value=value, low=value, high=high, confidence=0.95, relative=True, method="paired_bootstrap", samples=200,
        worse=0, better=0,
    ).model_copy(update=changes)  # fmt: skip


def test_the_chance_of_a_proof_falls_with_the_drop_its_spread_and_what_it_is_held_to():
    seen = a_drop(0.002, 0.01)
    chance = chance_of_proof(seen, 0.01, 800, 0.95)
    assert 0.5 < chance < 1
    assert chance_of_proof(seen, 0.01, 800, 0.99) < chance < chance_of_proof(seen, 0.01, 3200, 0.95)
    assert chance_of_proof(a_drop(0.004, 0.012), 0.01, 800, 0.95) < chance
    assert chance_of_proof(a_drop(0.002, 0.02), 0.01, 800, 0.95) < chance
    assert chance_of_proof(a_drop(0.002, 0.002), 0.01, 800, 0.95) == 1.0


def test_scores_of_which_none_differ_are_proven_as_soon_as_there_are_samples_enough():
    """Tango's bound of nothing lost on n samples is z²/(n+z²): 268 samples for 1 % at 95 %."""
    nothing = a_drop(0.0, 0.0157, method="paired_score", samples=170)
    assert chance_of_proof(nothing, 0.01, 270, 0.95) == pytest.approx(0.5, abs=0.01)
    assert chance_of_proof(nothing, 0.01, 700, 0.95) > 0.75
    assert chance_of_proof(nothing, 0.01, 100, 0.95) < 0.1
