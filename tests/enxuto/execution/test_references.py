"""The files that a step reads and that a result names are found by their types."""

from __future__ import annotations

from enxuto.execution.references import digests_of, files_named_in
from enxuto.metric import TopK
from enxuto.signature import ArraySpec, DatasetInspection
from enxuto.steps import (
    EvaluateModel,
    Evaluation,
    EvaluationFiles,
    InspectModel,
    MeasureLatency,
    Samples,
    Subject,
    SummarizeLatency,
)
from enxuto.workload import Workload


def digest(letter: str) -> str:
    return letter * 64


SAMPLES = Samples(
    arrays={"left": digest("b"), "right": digest("c")}, labels=digest("d"), count=9, start=0, stop=9, seed=0
)


def test_digests_are_found_in_lists_tables_unions_and_values_within_values() -> None:
    step = EvaluateModel(
        subject=Subject(model=digest("a")),
        samples=SAMPLES,
        preprocessing={},
        metric=TopK(),
        workload=Workload(),
        reference=EvaluationFiles(scores=digest("e"), outputs={"scores": digest("f")}),
    )
    assert sorted(digests_of(step)) == [digest(letter) for letter in "abcdef"]


def test_a_digest_is_found_once_however_often_it_stands_there() -> None:
    step = MeasureLatency(
        subjects=[Subject(model=digest("a")), Subject(model=digest("a"))],
        workload=Workload(),
        samples=None,
        preprocessing={},
        load=0,
        seed=0,
    )
    assert digests_of(step) == [digest("a")]


def test_digests_in_a_list_are_found() -> None:
    assert digests_of(SummarizeLatency(calls=[digest("a"), digest("b")])) == [digest("a"), digest("b")]


def test_a_name_that_looks_like_a_digest_is_none() -> None:
    assert digests_of(InspectModel(model=digest("a"), name=digest("b"))) == [digest("a")]


def test_files_are_found_in_every_form_that_results_name_them() -> None:
    evaluation = Evaluation(
        metric_value=1.0, samples=1, scores_file="scores.npy", outputs_files={"y": "output_0.npy", "z": "output_1.npy"}
    )
    assert sorted(files_named_in(evaluation)) == ["output_0.npy", "output_1.npy", "scores.npy"]

    def array(name: str, file: str) -> ArraySpec:
        return ArraySpec(name=name, dtype="float32", shape=[1], size_bytes=4, file=file)

    dataset = DatasetInspection(
        format="npz",
        arrays=[array("x", "array_0.npy")],
        labels=array("labels", "array_1.npy"),
        label_kind="float",
        count=1,
        size_bytes=8,
    )
    assert files_named_in(dataset) == ["array_0.npy", "array_1.npy"]
