"""What a search decides, told from facts about the models that it could try."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from enxuto.errors import BadInput
from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.goal import Goal, MaxDrop
from enxuto.machine import this_machine
from enxuto.report import OptimizeReport
from enxuto.request import OptimizeOptions
from enxuto.search.optimize import optimize
from enxuto.search.plan import PlanFailed, Reply, Stopped
from enxuto.signature import DatasetInput, TensorSpec
from enxuto.steps import ApplyRecipe, EvaluateModel, MeasureLatency, Step
from enxuto.techniques import MagnitudePruning
from enxuto.workload import Workload
from tests.support.simulated_world import ORIGINAL, Facts, World, a_dataset, a_model

INT8 = Facts(speedup=2.2, size_bytes=1_000_000, drop=0.002)
HALF = Facts(speedup=1.0, size_bytes=2_000_000)


PLAIN = Workload(runtimes=["onnxruntime"])
"""Nothing but recipes to try."""


def search(
    world: World,
    request: OptimizeOptions | None = None,
    *,
    data: DatasetInput | None = None,
    control: Control | None = None,
    journal: MemoryJournal | None = None,
) -> OptimizeReport:
    plan = optimize(request or OptimizeOptions(), a_model(), data or a_dataset(), None, this_machine())
    return drive(plan, world, machine="here", journal=journal or MemoryJournal(), control=control or Control())


def test_the_fastest_candidate_within_the_limit_wins():
    report = search(World({"static_int8": INT8, "half_weights": HALF}))
    assert (report.verdict, report.winner) == ("improved", "static_int8")
    assert report.recommended.size_bytes == 1_000_000
    assert "2.2" in report.why


def test_a_faster_candidate_that_surely_loses_too_much_is_rejected_and_not_even_timed():
    world = World({"static_int8": Facts(speedup=4.0, drop=0.2), "dynamic_int8": INT8})
    report = search(world)
    ruined = next(c for c in report.candidates if c.name == "static_int8")
    assert (ruined.outcome, ruined.selection.speedup) == ("infeasible", None)
    assert "loses 20.00\u00a0%" in ruined.reason
    assert report.winner == "dynamic_int8"


def test_the_winner_is_confirmed_on_samples_and_loads_that_did_not_choose_it():
    world = World({"static_int8": INT8})
    report = search(world)
    evaluations = [step for step in world.done if isinstance(step, EvaluateModel)]
    chosen = {range(e.samples.start, e.samples.stop) for e in evaluations[:-2]}
    proven = {range(e.samples.start, e.samples.stop) for e in evaluations[-2:]}
    assert len(chosen) == len(proven) == 1
    assert not set(*chosen) & set(*proven)
    loads = [step.load for step in world.done if isinstance(step, MeasureLatency)]
    assert len(loads) == len(set(loads)), "no load is used twice"
    calibration = next(step.calibration for step in world.done if isinstance(step, ApplyRecipe))
    assert calibration is not None
    assert not set(range(calibration.start, calibration.stop)) & (set(*chosen) | set(*proven))
    assert report.baseline.confirmation is not None


def test_a_technique_that_finds_nothing_to_do_is_left_out_and_the_rest_is_tried():
    nothing = Facts(fails={"apply_recipe": "nothing_to_fuse"})
    world = World(
        {
            "transformer_fusion → dynamic_int8": nothing,
            "smooth_quant → transformer_fusion → dynamic_int8": nothing,
            "dynamic_int8": Facts(speedup=2.0, drop=0.05),
            "smooth_quant → dynamic_int8": INT8,
        }
    )
    model = a_model(operators={"MatMul": 12, "Softmax": 2})
    plan = optimize(OptimizeOptions(workload=PLAIN), model, a_dataset(), None, this_machine())
    report = drive(plan, world, machine="here", journal=MemoryJournal(), control=Control())
    assert report.winner == "smooth_quant → dynamic_int8"
    names = [candidate.name for candidate in report.candidates]
    assert len(names) == len(set(names))


def test_candidates_that_fail_are_rows_with_their_reason_and_the_search_goes_on():
    world = World(
        {
            "static_int8": Facts(fails={"apply_recipe": "model_fails_to_load"}),
            "dynamic_int8": Facts(fails={"evaluate_model": "step_crashed"}),
            "graph_optimization": Facts(speedup=1.5),
        }
    )
    report = search(world)
    outcomes = {candidate.name: candidate.outcome for candidate in report.candidates}
    assert outcomes["static_int8"] == outcomes["dynamic_int8"] == "failed"
    assert outcomes["weight_only"] == "not_applicable"
    assert all(c.reason for c in report.candidates if c.outcome in ("failed", "not_applicable"))
    assert report.winner == "graph_optimization"


def test_a_candidate_that_brings_a_timing_down_is_found_and_the_others_are_timed():
    world = World({"static_int8": INT8, "dynamic_int8": Facts(fails={"measure_latency": "step_crashed"})})
    report = search(world)
    assert next(c for c in report.candidates if c.name == "dynamic_int8").outcome == "failed"
    assert report.winner == "static_int8"


def test_no_gain_gives_the_original_back_and_says_why():
    report = search(World({"half_weights": HALF, "graph_optimization": Facts(speedup=1.01)}))
    assert (report.verdict, report.winner, report.recommended.sha256) == ("no_gain", None, ORIGINAL)
    assert "original stays" in report.why


def test_nothing_applicable_gives_the_original_back():
    report = search(World({}), OptimizeOptions(workload=PLAIN))
    assert (report.verdict, report.recommended.sha256) == ("no_gain", ORIGINAL)
    assert "no technique" in report.why


def test_too_few_samples_leave_it_unproven_and_say_how_many_would_do():
    wide = Facts(speedup=2.0, drop=0.005, drop_spread=0.02)
    report = search(World({"static_int8": wide}), data=a_dataset(60))
    assert (report.verdict, report.unproven, report.recommended.sha256) == ("inconclusive", "static_int8", ORIGINAL)
    assert re.search(r"about [1-9]\d?[,0]* samples would decide", report.why), "a forecast has two digits"


def test_a_confidence_of_one_half_takes_the_point_estimate():
    wide = Facts(speedup=2.0, drop=0.005, drop_spread=0.0)
    goal = Goal(max_drop=MaxDrop(value=0.01, confidence=0.5))
    assert search(World({"static_int8": wide}), OptimizeOptions(goal=goal)).verdict == "improved"


def test_the_smallest_file_wins_when_size_is_asked_for():
    world = World({"static_int8": INT8, "weight_only(bits=4)": Facts(speedup=0.5, size_bytes=600_000)})
    report = search(world, OptimizeOptions(goal=Goal(minimize="size")))
    assert (report.verdict, report.winner) == ("improved", "weight_only(bits=4)")


def test_memory_is_measured_for_all_when_it_is_what_counts():
    world = World({"static_int8": Facts(memory_bytes=50_000_000), "dynamic_int8": Facts(memory_bytes=80_000_000)})
    report = search(world, OptimizeOptions(goal=Goal(minimize="memory")))
    assert (report.verdict, report.winner) == ("improved", "static_int8")


def test_a_size_limit_excludes_what_is_too_large():
    world = World({"static_int8": Facts(speedup=3.0, size_bytes=3_500_000), "dynamic_int8": INT8})
    report = search(world, OptimizeOptions(goal=Goal(size_mb=2.0)))
    assert report.winner == "dynamic_int8"
    assert "allowed are 2 MB" in next(c for c in report.candidates if c.name == "static_int8").reason


def test_a_candidate_that_meets_a_limit_the_original_misses_wins_without_being_faster():
    world = World({"weight_only(bits=4)": Facts(speedup=0.95, size_bytes=600_000)})
    report = search(world, OptimizeOptions(goal=Goal(size_mb=1.0)))
    assert (report.verdict, report.winner) == ("improved", "weight_only(bits=4)")
    assert report.why.endswith("the original is 4.00 MB large, allowed are 1 MB.")


def test_a_gain_is_put_into_the_words_of_its_objective():
    facts = Facts(speedup=2.0, size_bytes=1_000_000, memory_bytes=50_000_000, drop=-0.01)
    said = {
        words: search(World({"static_int8": facts}), OptimizeOptions(goal=goal)).why
        for words, goal in {
            "as fast": Goal(),
            "the throughput": Goal(maximize="throughput"),
            "4.00× smaller": Goal(minimize="size"),
            "2.00× less memory": Goal(minimize="memory"),
        }.items()
    }
    assert all(words in why and "gaining 1.00\u00a0%" in why for words, why in said.items())


@pytest.mark.parametrize(
    ("facts", "goal", "words"),
    [
        (Facts(speedup=0.5), Goal(), "0.50×"),
        (Facts(size_bytes=5_000_000), Goal(minimize="size"), "1.25× larger"),
        (Facts(size_bytes=4_000_001), Goal(minimize="size"), "as large"),
        (Facts(memory_bytes=150_000_000), Goal(minimize="memory"), "1.50× more memory"),
    ],
)
def test_a_loss_is_not_put_into_the_words_of_a_gain(facts: Facts, goal: Goal, words: str):
    world = World({"half_weights": facts}, under=lambda facts, _: replace(facts, memory_bytes=300_000_000))
    report = search(world, OptimizeOptions(goal=goal, workload=PLAIN))
    assert report.verdict == "no_gain"
    assert words in report.why


def test_what_could_not_be_measured_is_no_proof_that_nothing_gains():
    unknown = {"measure_memory": "step_crashed"}
    world = World(
        {"static_int8": Facts(speedup=2.0, fails=unknown)}, under=lambda facts, _: replace(facts, fails=unknown)
    )
    report = search(world, OptimizeOptions(goal=Goal(minimize="memory")))
    assert report.verdict == "inconclusive"
    assert "memory, could be measured on no candidate" in report.why


def test_calls_are_timed_until_they_carry_the_percentile_that_a_goal_asks_for():
    world = World({"static_int8": INT8}, calls=30)
    search(world, OptimizeOptions(goal=Goal(p95_ms=10.0)))
    confirming = [step for step in world.done if isinstance(step, MeasureLatency) and step.load >= 1000]
    assert 200 <= 30 * len(confirming) < 230


def test_a_copy_of_the_original_is_a_duplicate_and_costs_no_evaluation():
    world = World({"graph_optimization": Facts(same_as_original=True)})
    report = search(world, OptimizeOptions(workload=PLAIN))
    assert next(c for c in report.candidates if c.name == "graph_optimization").outcome == "duplicate"
    assert world.kinds().count("evaluate_model") == 1


def test_a_recipe_is_applied_as_it_is_and_delivered_with_its_verdict():
    called = "magnitude_pruning(ratio=0.5)"
    request = OptimizeOptions(recipe=[MagnitudePruning(ratio=0.5)])
    report = search(World({called: Facts(drop=0.3)}), request)
    assert (report.verdict, report.winner) == ("regressed", called)
    assert report.recommended.sha256 != ORIGINAL
    assert len(report.candidates) == 1


def test_a_recipe_that_cannot_be_applied_fails_the_job_with_the_reason():
    with pytest.raises(PlanFailed) as failure:
        search(World({}), OptimizeOptions(recipe=[MagnitudePruning(ratio=0.5)]))
    assert failure.value.code == "not_applicable"


def test_an_original_that_does_not_run_fails_the_job():
    with pytest.raises(PlanFailed) as failure:
        search(World({"static_int8": INT8}, original=Facts(fails={"evaluate_model": "model_fails_to_run"})))
    assert failure.value.code == "model_fails_to_run"


def test_too_few_samples_to_calibrate_to_choose_and_to_prove_are_refused():
    with pytest.raises(BadInput, match="at least 5"):
        search(World({}), data=a_dataset(4))


def test_every_part_that_judges_has_samples_enough_for_an_interval():
    for count in range(5, 40):
        splits = search(World({}), data=a_dataset(count)).splits
        assert min(splits.selection, splits.confirmation) >= 2
        assert splits.calibration + splits.selection + splits.confirmation == count


def test_a_cancel_ends_with_the_best_so_far():
    world = World({"static_int8": INT8})
    report = search(world, control=Control(cancelled=lambda: "summarize_latency" in world.kinds()))
    assert (report.verdict, report.stopped, report.unproven) == ("inconclusive", "cancelled", "static_int8")
    assert report.recommended.sha256 == ORIGINAL


def test_a_cancel_after_the_confirmation_keeps_what_was_proven():
    world = World({"static_int8": INT8})
    report = search(world, control=Control(cancelled=lambda: "measure_memory" in world.kinds()))
    assert (report.verdict, report.stopped, report.winner) == ("improved", "cancelled", "static_int8")


def test_a_deadline_skips_what_there_is_no_time_for_and_still_confirms():
    report = _search_with_a_clock(World({"static_int8": INT8}), total_s=100.0, an_evaluation_s=40.0)
    assert report.stopped == "deadline"
    assert "skipped" in [candidate.outcome for candidate in report.candidates]
    assert report.winner == "static_int8"


@pytest.mark.parametrize(
    ("evaluation_s", "deadline_s"), [(0.5, 35.0), (0.5, 45.0), (0.5, 60.0), (5.0, 90.0), (5.0, 120.0), (5.0, 200.0)]
)
def test_a_deadline_that_leaves_time_for_an_answer_gets_one(evaluation_s: float, deadline_s: float):
    """Steps take what they take on a small machine; seven recipes gain, the first one most."""

    def duration_s(step: Step) -> float:
        match step:
            case EvaluateModel():
                return 0.5 + evaluation_s * (step.samples.stop - step.samples.start) / 170
            case MeasureLatency():
                return 1.0 + 0.35 * len(step.subjects)
        return 1.0

    names = ["static_int8", "static_int8(calibration='percentile')", "dynamic_int8", "graph_optimization",
             "weight_only(bits=4)", "weight_only", "half_weights"]  # fmt: skip
    world = World({name: Facts(speedup=2 - i / 10, size_bytes=10**6 + i, drop=0.001) for i, name in enumerate(names)})
    report = _search_on_time(world, deadline_s, duration_s)
    assert (report.verdict, report.winner) == ("improved", "static_int8"), report.why


@pytest.mark.parametrize(
    ("fresh_s", "subject_s", "deadline_s", "tried"),
    [(0.35, 0.15, 30.0, 9), (0.35, 0.15, 45.0, 15), (2.2, 1.5, 120.0, 2)],
)
def test_what_is_held_back_for_the_end_follows_what_steps_take(
    fresh_s: float, subject_s: float, deadline_s: float, tried: int
):
    """A fast machine, and one that is busy with something else: neither ends early, and both confirm."""

    def duration_s(step: Step) -> float:
        match step:
            case EvaluateModel():
                return fresh_s + 0.0005 * (subject_s / 0.15) * (step.samples.stop - step.samples.start)
            case MeasureLatency():
                return fresh_s + subject_s * len(step.subjects) * (4 + step.rounds) / 16
        return 2 * fresh_s

    names = ["static_int8", "dynamic_int8", "graph_optimization", "weight_only(bits=4)", "weight_only", "half_weights"]
    world = World({name: Facts(speedup=2 - i / 10, size_bytes=10**6 + i, drop=0.001) for i, name in enumerate(names)})
    report = _search_on_time(world, deadline_s, duration_s)
    assert (report.verdict, report.winner) == ("improved", "static_int8"), report.why
    assert sum(each.outcome == "feasible" for each in report.candidates) >= tried


def test_a_deadline_that_left_candidates_untried_proves_nothing_of_them():
    report = _search_with_a_clock(World({"static_int8": Facts(drop=0.3)}), total_s=100.0, an_evaluation_s=40.0)
    assert (report.verdict, report.stopped, report.recommended.sha256) == ("inconclusive", "deadline", ORIGINAL)
    assert "more could be tried" in report.why


def test_a_deadline_that_left_candidates_untried_proves_nothing_of_them_by_what_was_confirmed():
    faded = World({"static_int8": Facts(speedup=1.5)}, proven=lambda facts: replace(facts, speedup=1.0))
    report = _search_with_a_clock(faded, total_s=100.0, an_evaluation_s=40.0)
    tried = next(each for each in report.candidates if each.name == "static_int8")
    assert tried.confirmation is not None
    assert (report.verdict, report.winner, report.stopped) == ("inconclusive", None, "deadline")
    assert "brought no gain" in report.why
    assert "more could be tried" in report.why


def test_a_cancel_before_the_timing_names_nothing_that_misses_the_limit_or_was_not_judged():
    ruined = Facts(size_bytes=500_000, drop=0.3)
    world = World({"weight_only(bits=4)": ruined, "static_int8": INT8})
    stop = Control(cancelled=lambda: world.kinds().count("apply_recipe") == 2 and world.kinds()[-1] == "apply_recipe")
    report = search(world, OptimizeOptions(goal=Goal(minimize="size")), control=stop)
    assert (report.stopped, report.unproven) == ("cancelled", None)


def test_progress_never_goes_back():
    many = dict.fromkeys(("static_int8", "dynamic_int8", "weight_only(bits=4)", "half_weights"), INT8)
    crashing = Facts(fails={"measure_latency": "step_crashed"}, size_bytes=2_000_000_000)
    seen: list[float] = []
    world = World(many | {"graph_optimization": crashing, "weight_only": replace(INT8, size_bytes=900_000_000)})
    search(world, control=Control(progress=lambda progress: seen.append(progress.fraction)))
    assert seen == sorted(seen)


def _search_on_time(world: World, total_s: float, duration_s: Callable[[Step], float]) -> OptimizeReport:
    plan = optimize(OptimizeOptions(), a_model(), a_dataset(), None, this_machine())
    task, remaining = next(plan), total_s
    try:
        while True:
            remaining -= (taken := duration_s(task.step))
            if remaining <= 0:
                task = plan.throw(Stopped("deadline"))
            outcome = world(task.step, stop=lambda: False).model_copy(update={"elapsed_s": taken})
            task = plan.send(Reply(outcome, remaining))
    except StopIteration as end:
        report: OptimizeReport = end.value
        return report


def test_no_time_is_held_back_to_confirm_while_there_is_nothing_to_confirm():
    report = _search_with_a_clock(World({"weight_only": Facts(speedup=1.5)}), total_s=14.0, an_evaluation_s=1.0)
    outcomes = {candidate.name: candidate.outcome for candidate in report.candidates}
    assert (outcomes["static_int8"], outcomes["weight_only"]) == ("not_applicable", "feasible")


def _search_with_a_clock(world: World, total_s: float, an_evaluation_s: float) -> OptimizeReport:
    plan = optimize(OptimizeOptions(), a_model(), a_dataset(), None, this_machine())
    task, remaining = next(plan), total_s
    while True:
        remaining -= an_evaluation_s if task.step.kind == "evaluate_model" else 0.5
        try:
            task = plan.send(Reply(world(task.step, stop=lambda: False), remaining))
        except StopIteration as end:
            report: OptimizeReport = end.value
            return report


def test_a_resumed_search_repeats_nothing_and_reports_the_same():
    journal = MemoryJournal()
    first = search(World({"static_int8": INT8, "half_weights": HALF}), journal=journal)
    again = World({"static_int8": INT8, "half_weights": HALF})
    assert search(again, journal=journal) == first
    assert again.done == []


def test_the_pareto_front_holds_what_nothing_beats():
    world = World({"static_int8": INT8, "half_weights": HALF, "dynamic_int8": Facts(speedup=0.5, drop=0.003)})
    assert search(world).pareto == ["static_int8", "half_weights"], "the original is as good as half of it, and larger"


def test_where_the_original_does_not_run_without_data_no_candidate_is_blamed():
    fails = {"measure_latency": "model_fails_to_run"}
    model = a_model(inputs=[TensorSpec(name="input", dtype="float32", shape=["batch", "sequence"])])
    world = World({"static_int8": Facts(fails=fails), "half_weights": Facts(fails=fails)}, original=Facts(fails=fails))
    plan = optimize(OptimizeOptions(workload=PLAIN), model, None, None, this_machine())
    with pytest.raises(PlanFailed) as failure:
        drive(plan, world, machine="here", journal=MemoryJournal(), control=Control())
    finding = failure.value.finding
    assert finding.code == "model_fails_to_run"
    assert "The original does not run on random inputs" in finding.detail
    assert "lengths of sequence in workload.dims" in finding.hint


def test_a_candidate_that_does_not_run_without_data_is_a_row_where_the_original_does():
    world = World({"static_int8": Facts(fails={"measure_latency": "model_fails_to_run"}), "half_weights": HALF})
    plan = optimize(OptimizeOptions(workload=PLAIN), a_model(), None, None, this_machine())
    report = drive(plan, world, machine="here", journal=MemoryJournal(), control=Control())
    failed = next(each for each in report.candidates if each.name == "static_int8")
    assert (failed.outcome, failed.code) == ("failed", "model_fails_to_run")
