"""The verbs from end to end: what is sent, what is waited for, what is taken home."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from enxuto.client import Client, JobCancelled, JobFailed, NotUnderstood
from enxuto.goal import Goal, MaxDrop, Thresholds
from enxuto.preprocessing import InputPreprocessing
from enxuto.scenario import Offline, ServingGoal
from enxuto.search.plan import Progress
from enxuto.settings import OnnxRuntimeSettings, OpenVinoSettings
from enxuto.techniques.static_int8 import StaticInt8
from tests.support.reports import benchmark_report, compare_report, profile_of_two, profile_report
from tests.support.scripted_server import scripted
from tests.support.scripted_service import DELIVERED, LEAN, REPORT, Service, job


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
    assert {path.name for path in out.iterdir()} == {"optimized.onnx", "report.json", "report.html", *DELIVERED}
    assert (out / "optimized.onnx").read_bytes() == LEAN
    assert (out / "settings.json").read_bytes() == DELIVERED["settings.json"]
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
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.json", "report.html", *DELIVERED}


def test_compare_says_by_which_runtimes_and_what_counts_as_equal() -> None:
    service = Service(job("succeeded"), report=compare_report().model_dump_json(by_alias=True))
    with scripted(service) as server, Client(server.url) as client:
        settings, against = OpenVinoSettings(streams=2), OnnxRuntimeSettings(spinning=False)
        client.compare("mdl_a", "mdl_a", settings=settings, against_settings=against, margin=0.05)
    assert service.body["margin"] == 0.05
    assert service.body["settings"] == settings.model_dump(mode="json")
    assert service.body["against_settings"] == against.model_dump(mode="json")


def test_benchmark_sends_the_scenario_and_takes_home_the_plans_files(model: Path, data: Path) -> None:
    report, files = benchmark_report(), {"config.pbtxt": b"name: x", "serve.py": b"import sys"}
    out = model.parent / "out"
    service = Service(job("succeeded"), report=report.model_dump_json(by_alias=True), files=files)
    with scripted(service) as server, Client(server.url) as client:
        serving = ServingGoal(p95_ms=10.0, rate_per_s=100.0)
        found = client.benchmark(model, data, Offline(batch_sizes=[1, 2]), memory_mb=500.0, serving=serving, out=out)
    assert found == report
    assert (service.body["kind"], service.body["data"]) == ("benchmark", {"evaluation": "dst_samples"})
    assert service.body["scenario"] == Offline(batch_sizes=[1, 2]).model_dump(mode="json")
    assert (service.body["memory_mb"], service.body["serving"]) == (500.0, serving.model_dump(mode="json"))
    assert {path.name for path in out.iterdir()} == {"report.json", "report.html", *files}


def test_profile_names_a_second_model_where_there_is_one() -> None:
    for report, against in ((profile_report(), None), (profile_of_two(), "mdl_b")):
        service = Service(job("succeeded"), report=report.model_dump_json(by_alias=True))
        with scripted(service) as server, Client(server.url) as client:
            assert client.profile("mdl_a", against, settings=OnnxRuntimeSettings(threads=2)) == report
        assert (service.body["kind"], service.body.get("against")) == ("profile", against)
        assert service.body["settings"]["threads"] == 2  # type: ignore[index]


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", ".hidden", "a/b.json", "report.json", "optimized.onnx", "a\\b.py", "", "x" * 300]
)
def test_a_name_that_leads_out_of_the_folder_is_not_written(tmp_path: Path, name: str) -> None:
    service = Service(job("succeeded"), files={name: b"evil"})
    with (
        scripted(service) as server,
        Client(server.url) as client,
        pytest.raises(NotUnderstood, match="written into a folder"),
    ):
        client.optimize("mdl_abc", out=tmp_path / "deep" / "out")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_was_recorded_is_fetched_when_it_is_asked_for(tmp_path: Path) -> None:
    with scripted(Service(files={"settings.json": b"{}"})) as server, Client(server.url) as client:
        listed = {file.name: file for file in client.files("job_1")}
        assert listed["calls.npz"].role == "raw"
        path = client.download_file("job_1", listed["settings.json"], tmp_path)
    assert (path, path.read_bytes()) == (tmp_path / "settings.json", b"{}")


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
