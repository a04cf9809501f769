"""The verbs from end to end: what is sent, what is waited for, what is taken home."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from enxuto.client import Client, JobCancelled, JobFailed, NotUnderstood
from enxuto.goal import Goal, MaxDrop, Thresholds
from enxuto.preprocessing import InputPreprocessing
from enxuto.search.plan import Progress
from enxuto.techniques.static_int8 import StaticInt8
from tests.support.reports import compare_report
from tests.support.scripted_server import scripted
from tests.support.scripted_service import LEAN, REPORT, Service, job


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "m.onnx").write_bytes(b"original")
    return tmp_path / "m.onnx"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "eval.npz").write_bytes(b"samples")
    return tmp_path / "eval.npz"


def test_optimize_sends_what_was_asked_and_takes_home_what_is_recommended(model: Path, data: Path) -> None:
    service = Service(job("queued", queue_position=1), job("running"), job("succeeded", has_report=True))
    seen: list[Progress] = []
    goal = Goal(minimize="size", max_drop=MaxDrop(value=0.02), p95_ms=10.0)
    preprocessing = {"x": InputPreprocessing.model_validate({"scale": 0.5, "from": "NHWC", "to": "NCHW"})}
    out = model.parent / "out"
    with scripted(service) as server, Client(server.url) as client:
        report = client.optimize(
            model, data, goal, calibration=data, preprocessing=preprocessing, deadline_s=60.0, seed=3, out=out,
            progress=seen.append,
        )  # fmt: skip
    assert report == REPORT
    assert service.body["kind"] == "optimize"
    assert service.body["model"] == "mdl_original"
    assert service.body["data"] == {"evaluation": "dst_samples", "calibration": "dst_samples"}
    assert service.body["goal"] == goal.model_dump(mode="json")
    assert service.body["preprocessing"]["x"]["from"] == "NHWC"  # type: ignore[index]
    assert (service.body["deadline_s"], service.body["seed"], service.body["target"]) == (60.0, 3, "any")
    assert [one for one in server.paths() if one.startswith("POST /v1/datasets")] == ["POST /v1/datasets?name=eval.npz"]
    assert {path.name for path in out.iterdir()} == {"optimized.onnx", "report.json", "report.html"}
    assert (out / "optimized.onnx").read_bytes() == LEAN
    assert json.loads((out / "report.json").read_text())["verdict"] == "improved"
    assert [one.phase for one in seen] == ["upload", "upload", "queued", "measure", "measure"]
    assert "number 1 in line" in seen[2].message


def test_what_is_on_the_server_already_is_given_by_its_id() -> None:
    service = Service(job("succeeded"))
    with scripted(service) as server, Client(server.url) as client:
        client.optimize("mdl_abc", "dst_abc", recipe=[StaticInt8(calibration="percentile")])
    assert (service.body["model"], service.body["data"]) == ("mdl_abc", {"evaluation": "dst_abc"})
    assert service.body["recipe"] == [StaticInt8(calibration="percentile").model_dump(mode="json")]
    assert service.body["goal"] is None


def test_compare_names_the_new_model_and_the_reference(model: Path, tmp_path: Path) -> None:
    report = compare_report()
    service = Service(job("succeeded", kind="compare"), report=report.model_dump_json(by_alias=True))
    with scripted(service) as server, Client(server.url) as client:
        found = client.compare("mdl_new", "mdl_old", None, Thresholds(min_speedup=1.2), out=tmp_path / "out")
    assert found == report
    assert (service.body["model"], service.body["against"]) == ("mdl_new", "mdl_old")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.json", "report.html"}


def test_a_failed_job_is_an_error_with_the_jobs_own_words(model: Path) -> None:
    error = {"code": "data_does_not_fit", "class": "user", "detail": "Input x wants float32.", "hint": "Convert it."}
    with (
        scripted(Service(job("running"), job("failed", error=error))) as server,
        Client(server.url) as client,
        pytest.raises(JobFailed, match="wants float32") as caught,
    ):
        client.optimize(model)
    assert caught.value.job == "job_1"
    assert caught.value.finding.fault == "user"


def test_a_job_that_somebody_cancelled_is_no_result(model: Path) -> None:
    with (
        scripted(Service(job("cancelled", has_report=True))) as server,
        Client(server.url) as client,
        pytest.raises(JobCancelled, match="The best so far is in the report of job_1"),
    ):
        client.optimize(model)


def test_an_interrupt_cancels_the_job_on_the_server(model: Path) -> None:
    def interrupt(seen: Progress) -> None:
        if seen.phase == "measure":
            raise KeyboardInterrupt

    with scripted(Service(job("queued"), job("running"))) as server, Client(server.url) as client:
        with pytest.raises(KeyboardInterrupt, match="job_1 was told to stop"):
            client.optimize(model, progress=interrupt)
        assert server.paths()[-1] == "POST /v1/jobs/job_1/cancel"


def test_a_report_of_another_version_is_told_from_a_broken_one(model: Path) -> None:
    newer = {**REPORT.model_dump(mode="json", by_alias=True), "new_member": 1}
    with (
        scripted(Service(job("succeeded"), report=json.dumps(newer))) as server,
        Client(server.url) as client,
        pytest.raises(NotUnderstood, match="same version") as caught,
    ):
        client.optimize(model)
    assert caught.value.code == "answer_not_understood"
