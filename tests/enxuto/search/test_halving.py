"""Cheap looks come before full ones, and what they leave out comes back where it must."""

from __future__ import annotations

from dataclasses import replace

from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.goal import Goal
from enxuto.machine import this_machine
from enxuto.report import Candidate, OptimizeReport
from enxuto.request import OptimizeOptions
from enxuto.search.optimize import optimize
from enxuto.steps import ApplyRecipe, EvaluateModel, MeasureLatency, Step
from enxuto.workload import Workload
from tests.support.simulated_world import ORIGINAL, Facts, World, a_dataset, a_model, digest

PLAIN = Workload(runtimes=["onnxruntime"])
NAMES = ["static_int8", "dynamic_int8", "graph_optimization", "weight_only(bits=4)", "weight_only", "half_weights"]


def many(**changes: object) -> dict[str, Facts]:
    """Six candidates of different files, each slower than the one before."""
    return {
        name: replace(Facts(speedup=3 - 0.3 * i, size_bytes=10**6 + i, drop=0.001), **changes)  # type: ignore[arg-type]
        for i, name in enumerate(NAMES)
    }


class Slow(World):
    """Every sample costs, so that few of them are cheaper than all."""

    def __call__(self, step: Step, **given):  # type: ignore[no-untyped-def]
        outcome = super().__call__(step, **given)
        if isinstance(step, EvaluateModel):
            return outcome.model_copy(update={"elapsed_s": 0.1 * (step.samples.stop - step.samples.start)})
        return outcome


def search(world: World, goal: Goal | None = None, workload: Workload = PLAIN) -> OptimizeReport:
    request = OptimizeOptions(goal=goal, workload=workload)
    plan = optimize(request, a_model(), a_dataset(), None, this_machine())
    return drive(plan, world, machine="here", journal=MemoryJournal(), control=Control())


def row(report: OptimizeReport, name: str) -> Candidate:
    return next(candidate for candidate in report.candidates if candidate.name == name)


def evaluated(world: World, name: str) -> list[int]:
    """Numbers of samples that a candidate's file was evaluated on."""
    steps = [step for step in world.done if isinstance(step, EvaluateModel) and step.subject.model == digest(name)]
    return [step.samples.stop - step.samples.start for step in steps]


def test_where_samples_cost_few_come_first_and_only_the_better_half_sees_all() -> None:
    world = Slow(many())
    report = search(world)
    assert report.winner == "static_int8"
    assert evaluated(world, "static_int8") == [48, report.splits.selection, report.splits.confirmation]
    assert evaluated(world, "half_weights") == [48]
    left_out = row(report, "weight_only")
    assert (left_out.outcome, left_out.code) == ("skipped", "")
    assert "static_int8 was 3.00× as fast as the original" in left_out.reason
    assert f"{left_out.selection.speedup and left_out.selection.speedup.value:.2f}" == "1.80"
    assert row(report, "half_weights").reason == left_out.reason, "one sentence for all that were worse"


def test_where_samples_cost_nothing_all_of_them_are_the_first_look() -> None:
    world = World(many())
    report = search(world)
    assert evaluated(world, "half_weights") == [report.splits.selection]
    assert row(report, "half_weights").outcome == "feasible"
    assert "Set aside after a first look" in row(report, "half_weights").notes[-1]


def test_a_first_timing_is_short_and_the_worse_half_is_not_timed_again() -> None:
    world = World(many())
    search(world)
    timings = [step for step in world.done if isinstance(step, MeasureLatency) and step.load < 1000]
    brief, longer = [step for step in timings if step.load >= 250], [step for step in timings if step.load < 250]
    assert len(brief) == 2 < len(longer)
    assert len(brief[0].subjects) == 7
    assert len(longer[0].subjects) == 5
    assert brief[0].rounds < longer[0].rounds


def test_a_ruined_model_is_found_by_few_samples_whatever_its_interval() -> None:
    ruined = Facts(speedup=4.0, drop=0.4, drop_spread=0.5, sqnr_db=-1.0)
    world = Slow({**many(), "static_int8": ruined})
    report = search(world)
    assert row(report, "static_int8").outcome == "infeasible"
    assert "is ruined: signal over noise at its outputs is -1.0 dB" in row(report, "static_int8").reason
    assert evaluated(world, "static_int8") == [48]


def test_outputs_that_differ_are_no_ruin_where_the_metric_does_not_mind() -> None:
    report = search(World({"static_int8": Facts(speedup=4.0, drop=0.0, sqnr_db=3.0)}))
    assert report.winner == "static_int8"


def test_what_was_set_aside_comes_back_where_nothing_that_was_kept_stands() -> None:
    class Turning(Slow):
        """The fast ones lose too much on all samples, which few of them do not show."""

        def _evaluate(self, step: EvaluateModel):  # type: ignore[no-untyped-def]
            seen = super()._evaluate(step)
            slow = step.subject.model in (ORIGINAL, digest("half_weights"))
            few = step.samples.stop - step.samples.start < 50
            if slow or few or seen.drop is None:
                return seen
            return seen.model_copy(update={"drop": seen.drop.model_copy(update={"value": 0.2, "low": 0.1})})

    report = search(Turning(many()))
    assert (report.verdict, report.winner) == ("improved", "half_weights")
    assert row(report, "static_int8").outcome == "infeasible"


def test_of_files_that_differ_in_numbers_alone_the_most_faithful_is_timed() -> None:
    world = World(
        {
            "static_int8": Facts(speedup=2.0, sqnr_db=25.0),
            "static_int8(calibration=mse)": Facts(speedup=2.0, sqnr_db=31.0),
            "static_int8(calibration=percentile)": Facts(speedup=2.0, sqnr_db=40.0, drop=0.02, drop_spread=0.015),
        }
    )
    report = search(world)
    assert report.winner == "static_int8(calibration=mse)"
    assert row(report, "static_int8").selection.speedup is None
    assert "differs from static_int8(calibration=mse) in numbers alone" in row(report, "static_int8").notes[0]
    lossy = row(report, "static_int8(calibration=percentile)")
    assert lossy.outcome == "infeasible", "what is set aside is held to the limit as well"
    assert "loses 2.00" in lossy.reason


def test_zero_points_are_more_than_other_numbers() -> None:
    """They take bytes: of two files of unlike sizes neither is set aside for the other's numbers."""
    few_bits = {
        "weight_only(bits=4)": Facts(size_bytes=600_000, sqnr_db=25.0),
        "weight_only(bits=4, method=gptq)": Facts(size_bytes=600_001, sqnr_db=29.0),
        "weight_only(bits=4, method=hqq)": Facts(size_bytes=630_000, sqnr_db=31.0),
    }
    report = search(World(few_bits), Goal(minimize="size"))
    gptq = "weight_only(bits=4, method=gptq)"
    assert report.winner == gptq
    assert f"differs from {gptq} in numbers alone" in row(report, "weight_only(bits=4)").notes[0]


def test_one_calibration_serves_all_that_choose_ranges() -> None:
    world = World(many())
    search(world)
    assert world.kinds().count("calibrate_model") == 1
    static = [step for step in world.done if isinstance(step, ApplyRecipe) and step.recipe[0].kind == "static_int8"]
    assert len(static) == 4
    assert len({step.statistics for step in static}) == 1
    assert static[0].statistics is not None


def test_a_calibration_that_fails_leaves_each_to_see_for_itself() -> None:
    world = World(many(), broken=frozenset({"calibrate_model"}))
    report = search(world)
    assert report.winner == "static_int8"
    assert all(step.statistics is None for step in world.done if isinstance(step, ApplyRecipe))


def test_what_only_adds_to_the_report_may_fail() -> None:
    kinds = {"examine_data", "measure_sensitivity", "diagnose_model", "assess_portability", "profile_model"}
    lossy = Facts(speedup=2.0, drop=0.02, drop_spread=0.001, size_bytes=5)
    report = search(World({**many(), "dynamic_int8": lossy}, broken=frozenset(kinds)))
    assert (report.verdict, report.winner) == ("improved", "static_int8")
    assert (report.portability, report.data, row(report, "dynamic_int8").diagnosis) == (None, None, None)


def test_for_size_files_are_told_apart_without_a_clock() -> None:
    world = World(many())
    search(world, Goal(minimize="size"))
    assert not any(isinstance(step, MeasureLatency) and 250 <= step.load < 500 for step in world.done)


def test_a_candidate_that_looked_fast_and_is_not_is_never_recommended() -> None:
    liar = {"static_int8": Facts(speedup=3.0)}
    for shown in (0.5, 1.0):
        report = search(World(liar, proven=lambda facts, shown=shown: replace(facts, speedup=shown)))  # type: ignore[misc]
        assert (report.verdict, report.winner, report.recommended.sha256) == ("no_gain", None, ORIGINAL)


def test_a_candidate_that_looked_accurate_and_is_ruined_is_never_recommended() -> None:
    liar = {"static_int8": Facts(speedup=3.0)}
    report = search(World(liar, proven=lambda facts: replace(facts, drop=0.6)))
    assert (report.verdict, report.winner, report.recommended.sha256) == ("inconclusive", None, ORIGINAL)
    assert "loses 60.00" in report.why
