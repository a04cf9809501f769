"""What a comparison concludes, told from facts about the two models."""

from __future__ import annotations

import pytest

from enxuto.errors import BadInput
from enxuto.execution.drive import Control, MemoryJournal, drive
from enxuto.goal import MaxDrop, Thresholds
from enxuto.machine import this_machine
from enxuto.report import CompareReport
from enxuto.request import CompareOptions
from enxuto.search.compare import compare
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings
from enxuto.signature import DatasetInput, ModelInput, TensorSpec
from enxuto.steps import EvaluateModel, MeasureLatency, MeasureMemory
from enxuto.workload import Workload
from tests.support.simulated_world import Facts, World, a_dataset, a_model, digest


def candidate(size_bytes: int = 1_000_000) -> ModelInput:
    return a_model("lean.onnx", size_bytes=size_bytes).model_copy(update={"file": digest("lean")})


def judge(
    facts: Facts, thresholds: Thresholds | None = None, data: DatasetInput | None = None, size_bytes: int = 1_000_000
) -> CompareReport:
    return ask(World({"lean": facts}), CompareOptions(thresholds=thresholds or Thresholds()), data, size_bytes)


def ask(
    world: World, request: CompareOptions, data: DatasetInput | None = None, size_bytes: int = 1_000_000
) -> CompareReport:
    plan = compare(request, candidate(size_bytes), a_model(), data, this_machine())
    return drive(plan, world, machine="here", journal=MemoryJournal(), control=Control())


def test_a_faster_model_within_its_limits_passes():
    asked = Thresholds(max_drop=MaxDrop(value=0.01), min_speedup=1.5)
    report = judge(Facts(speedup=2.0, drop=0.001), asked, a_dataset())
    assert (report.passed, report.speed.verdict, report.speed.passed) == (True, "improved", True)
    assert report.accuracy is not None
    assert report.accuracy.passed is True


def test_a_speedup_whose_interval_reaches_below_what_is_asked_does_not_pass():
    report = judge(Facts(speedup=1.5), Thresholds(min_speedup=1.5), a_dataset())
    assert (report.passed, report.speed.passed) == (False, False)


def test_a_surely_worse_model_regressed():
    report = judge(Facts(drop=0.1), data=a_dataset())
    assert report.accuracy is not None
    assert (report.accuracy.verdict, report.verdict, report.passed) == ("regressed", "regressed", False)


def test_an_accuracy_limit_without_data_is_refused_before_anything_is_measured():
    with pytest.raises(BadInput, match="needs evaluation data") as caught:
        judge(Facts(speedup=2.0), Thresholds(max_drop=MaxDrop()))
    assert caught.value.code == "evaluation_data_missing"


def test_only_axes_that_were_asked_about_decide():
    report = judge(Facts(speedup=2.0, memory_bytes=200_000_000), Thresholds(min_speedup=1.2), a_dataset())
    assert (report.memory.verdict, report.verdict, report.passed) == ("regressed", "improved", True)


def test_the_file_size_is_judged_exactly():
    report = judge(Facts(), Thresholds(max_size_ratio=0.2), a_dataset())
    assert (report.size.verdict, report.size.passed, report.passed) == ("improved", False, False)


def test_what_counts_as_equal_is_what_was_asked_for():
    world = World({"lean": Facts(speedup=1.1, memory_bytes=95_000_000)})
    usual, wide = ask(world, CompareOptions()), ask(world, CompareOptions(margin=0.15))
    assert (usual.speed.verdict, wide.speed.verdict) == ("improved", "no_gain")
    assert (usual.memory.verdict, wide.memory.verdict) == ("improved", "no_gain")
    assert wide.margin == 0.15


def test_an_open_verdict_says_what_was_seen():
    report = ask(World({"lean": Facts(speedup=1.03)}, luck=0.02, disturbed_share=0.4), CompareOptions())
    assert (report.speed.verdict, report.verdict) == ("inconclusive", "inconclusive")
    for words in ("margin of 3", "between 24 loads", "40.0", "disturbed", "stolen", "waited", "load was 0.1"):
        assert words in report.why


def test_a_speedup_that_processor_time_does_not_show_is_open_and_passes_nothing():
    world = World({"lean": Facts(speedup=2.0, cpu_speedup=1.0)})
    report = ask(world, CompareOptions(thresholds=Thresholds(min_speedup=1.2)))
    assert (report.speed.verdict, report.speed.passed) == ("inconclusive", False)
    assert "processor time disagree" in report.speed.detail
    assert "1.00×" in report.speed.detail


def test_processor_time_of_several_threads_is_not_judged():
    """They spin while they wait for each other."""
    world = World({"lean": Facts(speedup=2.0, cpu_speedup=1.0)})
    report = ask(world, CompareOptions(workload=Workload(threads=2)))
    assert report.speed.verdict == "improved"
    assert report.measured.cpu_speedup is not None


def test_each_model_is_run_by_its_own_runtime():
    new, old = OpenVinoSettings(precision="f32"), OnnxRuntimeSettings(arena=False)
    world = World({"lean": Facts(speedup=2.0)})
    report = ask(world, CompareOptions(settings=new, against_settings=old), a_dataset())
    evaluated = [step.subject for step in world.done if isinstance(step, EvaluateModel)]
    measured = [step.subject for step in world.done if isinstance(step, MeasureMemory)]
    timed = [step.subjects for step in world.done if isinstance(step, MeasureLatency)]
    for subjects in (evaluated, measured, *timed):
        assert [subject.settings for subject in subjects] == [old, new]
    assert "on OpenVINO against net.onnx on ONNX Runtime, arena off: " in report.why


def test_a_model_is_compared_with_itself_on_another_runtime():
    world = World({})
    request = CompareOptions(settings=OpenVinoSettings(), against_settings=OnnxRuntimeSettings())
    one = a_model()
    report = drive(
        compare(request, one, one, None, this_machine()),
        world, machine="here", journal=MemoryJournal(), control=Control(),
    )  # fmt: skip
    timed = [step.subjects for step in world.done if isinstance(step, MeasureLatency)]
    assert {tuple(subject.settings.runtime for subject in subjects) for subjects in timed} == {
        ("onnxruntime", "openvino")
    }
    assert report.request.settings == OpenVinoSettings()


def test_both_run_on_the_first_runtime_of_the_workload_where_nothing_is_said():
    report = ask(World({"lean": Facts()}), CompareOptions(workload=Workload(runtimes=["openvino"])))
    assert report.request.settings == report.request.against_settings == OpenVinoSettings()


def test_the_axes_carry_their_intervals_and_the_accuracy_its_test():
    report = judge(Facts(drop=0.02, drop_spread=0.004), Thresholds(max_drop=MaxDrop(value=0.05)), a_dataset())
    assert report.accuracy is not None
    assert report.accuracy.estimate is not None
    assert report.accuracy.estimate.low == pytest.approx(0.016)
    assert report.accuracy.estimate.confidence == pytest.approx(0.9), "both one-sided bounds at 95 % together"
    assert "McNemar p" in report.accuracy.detail
    assert report.measured.memory is not None


def test_models_of_different_tasks_are_refused():
    other = candidate()
    inputs = [TensorSpec(name="tokens", dtype="int64", shape=["batch", 8])]
    other = other.model_copy(update={"inspection": other.inspection.model_copy(update={"inputs": inputs})})
    plan = compare(CompareOptions(), other, a_model(), None, this_machine())
    with pytest.raises(BadInput, match=r"tokens \(int64\).*input \(float32\)") as refusal:
        next(plan)
    assert refusal.value.code == "models_differ"
