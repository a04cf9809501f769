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
from enxuto.signature import DatasetInput, ModelInput, TensorSpec
from tests.support.simulated_world import Facts, World, a_dataset, a_model, digest


def candidate(size_bytes: int = 1_000_000) -> ModelInput:
    return a_model("lean.onnx", size_bytes=size_bytes).model_copy(update={"file": digest("lean")})


def judge(
    facts: Facts, thresholds: Thresholds | None = None, data: DatasetInput | None = None, size_bytes: int = 1_000_000
) -> CompareReport:
    request = CompareOptions(thresholds=thresholds or Thresholds())
    plan = compare(request, candidate(size_bytes), a_model(), data, this_machine())
    return drive(plan, World({"lean": facts}), machine="here", journal=MemoryJournal(), control=Control())


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


def test_an_accuracy_limit_cannot_hold_without_data():
    report = judge(Facts(speedup=2.0), Thresholds(max_drop=MaxDrop()))
    assert (report.accuracy, report.passed) == (None, False)


def test_only_axes_that_were_asked_about_decide():
    report = judge(Facts(speedup=2.0, memory_bytes=200_000_000), Thresholds(min_speedup=1.2), a_dataset())
    assert (report.memory.verdict, report.verdict, report.passed) == ("regressed", "improved", True)


def test_the_file_size_is_judged_exactly():
    report = judge(Facts(), Thresholds(max_size_ratio=0.2), a_dataset())
    assert (report.size.verdict, report.size.passed, report.passed) == ("improved", False, False)


def test_models_of_different_tasks_are_refused():
    other = candidate()
    inputs = [TensorSpec(name="tokens", dtype="int64", shape=["batch", 8])]
    other = other.model_copy(update={"inspection": other.inspection.model_copy(update={"inputs": inputs})})
    plan = compare(CompareOptions(), other, a_model(), None, this_machine())
    with pytest.raises(BadInput, match=r"tokens \(int64\).*input \(float32\)") as refusal:
        next(plan)
    assert refusal.value.code == "models_differ"
