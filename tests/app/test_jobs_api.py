"""Jobs over HTTP: checked before they are taken, kept once they are."""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.core.database import make_engine, sessions, utc_now
from app.core.records import DatasetRecord, JobRecord, ModelRecord, WorkerRecord
from app.core.results import result_of
from enxuto.machine import this_machine
from enxuto.report import CompareReport, OptimizeReport
from tests.support.inspections import DATASET, MODEL
from tests.support.live_service import LiveService, live_service
from tests.support.reports import compare_report, optimize_report


@pytest.fixture(scope="module")
def model(service: LiveService) -> str:
    return service.ready_model()


@pytest.fixture(scope="module")
def dataset(service: LiveService) -> str:
    return service.ready_dataset()


def submit(http: httpx.Client, **body: Any) -> httpx.Response:
    return http.post("/v1/jobs", json={"kind": "optimize", **body})


def test_a_job_is_accepted_with_everything_that_was_left_open_filled_in(
    service: LiveService, model: str, dataset: str
) -> None:
    answer = submit(service.http, model=model, data={"evaluation": dataset})
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert int(answer.headers["retry-after"]) > 0
    assert (job["state"], job["attempt"], job["result"]) == ("queued", 0, None)
    assert job["queue_position"] >= 1
    assert job["request"]["goal"]["minimize"] == "latency"
    assert job["request"]["goal"]["max_drop"] == {"value": 0.01, "relative": True, "confidence": 0.95}
    assert job["request"]["metric"] == {"kind": "top_k", "k": 1, "output": None}
    assert job["request"]["workload"]["batch_size"] == 1
    assert service.http.get(answer.headers["location"]).json() == job


def test_what_comes_back_resolved_can_be_sent_again(service: LiveService, model: str, dataset: str) -> None:
    preprocessing = {"x": {"scale": 0.5, "from": "NC", "to": "NC"}}
    first = submit(service.http, model=model, data={"evaluation": dataset}, preprocessing=preprocessing).json()
    assert first["request"]["preprocessing"]["x"]["from"] == "NC"
    again = service.http.post("/v1/jobs", json=first["request"])
    assert (again.status_code, again.json()["request"]) == (202, first["request"])


def test_a_fixed_batch_axis_is_taken_as_it_is(service: LiveService, dataset: str) -> None:
    fixed = service.ready_model(batch_size=4)
    body = {"kind": "optimize", "model": fixed, "data": {"evaluation": dataset}, "workload": {"batch_size": 1}}
    validated = service.http.post("/v1/jobs", params={"validate_only": "true"}, json=body).json()
    assert validated["request"]["workload"]["batch_size"] == 4


def test_a_recipe_takes_the_place_of_a_goal(service: LiveService, model: str) -> None:
    job = submit(service.http, model=model, recipe=[{"kind": "dynamic_int8"}]).json()
    assert job["request"]["goal"] is None
    assert job["request"]["recipe"][0]["kind"] == "dynamic_int8"


def test_a_comparison_is_accepted(service: LiveService, model: str, dataset: str) -> None:
    other = service.ready_model()
    body = {"kind": "compare", "model": other, "against": model, "data": {"evaluation": dataset}}
    answer = service.http.post("/v1/jobs", json=body)
    assert answer.status_code == 202
    assert answer.json()["request"]["thresholds"]["min_speedup"] is None


def test_a_validation_stores_nothing(service: LiveService, model: str, dataset: str) -> None:
    before = service.http.get("/v1/jobs", params={"model": model}).json()
    body = {"kind": "optimize", "model": model, "data": {"evaluation": dataset}, "deadline_s": 60}
    answer = service.http.post("/v1/jobs", params={"validate_only": "true"}, json=body)
    estimate = answer.json()["estimate"]
    assert answer.status_code == 200
    assert answer.json()["request"]["metric"]["kind"] == "top_k"
    assert estimate["candidates"] > 1
    assert estimate["deadline_s"] == 60
    assert 0 < estimate["evaluated_samples"] < 100 * (estimate["candidates"] + 2)
    assert service.http.get("/v1/jobs", params={"model": model}).json() == before
    one_runtime = {**body, "workload": {"runtimes": ["onnxruntime"]}}
    cheaper = service.http.post("/v1/jobs", params={"validate_only": "true"}, json=one_runtime).json()["estimate"]
    for part in ("candidates", "evaluated_samples", "fresh_loads", "timing_s"):
        assert cheaper[part] < estimate[part], "other runtimes are candidates, and cost something"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"bogus": 1}, "/bogus"),
        ({"seed": "3"}, "/seed"),
        ({"seed": 1.5}, "/seed"),
        ({"deadline_s": -1}, "/deadline_s"),
        ({"model": "resnet"}, "/model"),
        ({"model": None}, "/model"),
        ({"workload": {"batch_size": 0}}, "/workload/batch_size"),
        ({"workload": {"dims": {"a/b": 0}}}, "/workload/dims/a~1b"),
        ({"recipe": [{"kind": "static_int8"}, {"kind": "static_int8", "percentile": 3}]}, "/recipe/1/percentile"),
        ({"recipe": [{"kind": "magic"}]}, "/recipe/0"),
        ({"metric": {"kind": "top_k", "k": True}}, "/metric/k"),
        ({"data": {"training": "dst_" + "0" * 26}}, "/data/training"),
        ({"kind": "train"}, ""),
        ({"preprocessing": {"x": {"std": [0]}}}, "/preprocessing/x/std/0"),
    ],
)
def test_a_body_that_is_wrong_says_where(http: httpx.Client, change: dict[str, Any], pointer: str) -> None:
    body = {"kind": "optimize", "model": "mdl_" + "0" * 26, **change}
    answer = http.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": "resnet"}, "no id of a model"),
        ({"data": {"evaluation": "mine.npz"}}, "no id of a dataset"),
        ({"kind": "fly"}, "no kind 'fly'; there are 'optimize', 'compare'"),
        ({"recipe": [{"ratio": 0.5}]}, "'kind' is needed"),
        ({"recipe": [{"kind": "magnitude_pruning"}]}, "/recipe/0: give exactly one of"),
        ({"bogus": 1}, "no such field"),
        ({"recipe": []}, "at least 1 item, not 0"),
        ({"preprocessing": {"x": {"from": "nhwc", "to": "NCHW"}}}, "capital letters"),
        ({"target": "?"}, "GET /v1/targets"),
    ],
)
def test_what_is_wrong_is_said_without_patterns_and_words_of_the_validator(
    http: httpx.Client, change: dict[str, Any], says: str
) -> None:
    detail = http.post("/v1/jobs", json={"kind": "optimize", "model": "mdl_" + "0" * 26, **change}).json()["detail"]
    assert says in detail
    assert not any(word in detail for word in ("pattern", "tag", "Value error", "validation", "Extra inputs"))


def test_a_field_that_stands_twice_is_refused(http: httpx.Client) -> None:
    body = '{"kind": "optimize", "model": "mdl_' + "0" * 26 + '", "workload": {"threads": 1, "threads": 2}}'
    answer = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")
    assert "'threads' stands twice" in answer.json()["detail"]


def test_a_body_with_endless_faults_gets_an_answer_that_ends(http: httpx.Client) -> None:
    body = {"kind": "optimize", "model": "mdl_" + "0" * 26, **{f"f{number}": 0 for number in range(50_000)}}
    answer = http.post("/v1/jobs", json=body)
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 100


def test_an_encoded_body_is_refused(http: httpx.Client) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = http.post("/v1/jobs", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_content_encoding")


def test_numbers_that_are_none_are_refused(http: httpx.Client) -> None:
    body = '{"kind": "optimize", "model": "mdl_' + "0" * 26 + '", "goal": {"p95_ms": Infinity}}'
    answer = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize("body", [b"", b"{", b'"\xff"', b"[1,", b"nul"])
def test_a_body_that_is_no_json_is_refused(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "json_malformed")


@pytest.mark.parametrize("body", [b"null", b"[]", b"3", b"{}"])
def test_a_body_that_is_no_object_with_a_kind_is_refused(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")


def test_a_body_without_its_content_type_is_refused(http: httpx.Client) -> None:
    for headers in ({}, {"Content-Type": "text/plain"}):
        answer = http.post("/v1/jobs", content=b"{}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
        assert "application/json" in answer.json()["hint"]


def test_a_body_that_is_too_large_is_refused(http: httpx.Client) -> None:
    body = json.dumps({"kind": "x" * 2_000_000}).encode()
    answer = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_what_a_job_names_must_be_there(service: LiveService, model: str) -> None:
    missing = submit(service.http, model="mdl_" + "0" * 26)
    assert (missing.status_code, missing.json()["errors"][0]["pointer"]) == (404, "/model")
    missing = submit(service.http, model=model, data={"calibration": "dst_" + "0" * 26})
    assert (missing.status_code, missing.json()["errors"][0]["pointer"]) == (404, "/data/calibration")


def test_the_earlier_job_of_a_what_if_must_be_an_optimization_that_has_ended(service: LiveService, model: str) -> None:
    missing = submit(service.http, model=model, earlier="job_" + "0" * 26)
    assert (missing.status_code, missing.json()["errors"][0]["pointer"]) == (404, "/earlier")
    queued = submit(service.http, model=model).json()["id"]
    answer = submit(service.http, model=model, earlier=queued)
    assert (answer.status_code, answer.json()["code"]) == (422, "earlier_does_not_fit")
    assert "is queued" in answer.json()["detail"]
    other = submit(service.http, model=model, earlier="mdl_" + "0" * 26)
    assert (other.status_code, other.json()["errors"][0]["pointer"]) == (422, "/earlier")
    assert "no id of a job" in other.json()["detail"]


def test_a_what_if_about_another_model_says_what_differs(service: LiveService, model: str) -> None:
    earlier = submit(service.http, model=model).json()["id"]
    report = optimize_report().model_dump_json(by_alias=True).encode()
    service.end_job(earlier, report=service.blobs().add_bytes(report))
    answer = submit(service.http, model=model, earlier=earlier)
    assert (answer.status_code, answer.json()["code"]) == (422, "earlier_does_not_fit")
    assert "the model" in answer.json()["detail"]
    assert answer.json()["errors"][0]["pointer"] == "/earlier"


def test_an_expression_that_is_wrong_is_pointed_at(http: httpx.Client) -> None:
    body = {"kind": "optimize", "model": "mdl_" + "0" * 26, "metric": {"kind": "expression", "expression": "outpt"}}
    answer = http.post("/v1/jobs", json=body).json()
    assert answer["errors"][0]["pointer"] == "/metric/expression"
    assert answer["detail"].endswith("\n  outpt\n  ^")


def test_what_a_job_names_must_be_ready(service: LiveService) -> None:
    model = service.upload("m.onnx", os.urandom(9))["id"]
    answer = submit(service.http, model=model)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_ready")
    assert answer.json()["retryable"] is True
    assert int(answer.headers["retry-after"]) > 0


def test_a_rejected_model_is_refused_with_its_finding(service: LiveService) -> None:
    model = service.upload("m.onnx", os.urandom(9))["id"]
    finding = {"code": "not_a_model", "detail": "It is a picture.", "hint": "Send a model.", "fault": "user"}
    service.change(ModelRecord, model, state="rejected", finding=finding)
    answer = submit(service.http, model=model)
    assert (answer.status_code, answer.json()["code"]) == (422, "rejected")
    assert answer.json()["errors"] == [{"code": "not_a_model", "detail": "It is a picture.", "pointer": "/model"}]


def test_data_that_does_not_fit_is_refused_with_every_difference(service: LiveService) -> None:
    array = {**DATASET["arrays"][0], "name": "pixels", "shape": [100, 5]}
    dataset = service.ready_dataset(arrays=[array])
    answer = submit(service.http, model=service.ready_model(), data={"evaluation": dataset})
    assert (answer.status_code, answer.json()["code"]) == (422, "data_does_not_fit")
    assert "'pixels'" in answer.json()["detail"]
    assert "'x'" in answer.json()["detail"]
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/data/evaluation"]


def test_calibration_data_that_does_not_fit_is_named_by_its_own_place(service: LiveService) -> None:
    wrong = service.ready_dataset(arrays=[{**DATASET["arrays"][0], "name": "pixels", "shape": [100, 5]}])
    data = {"evaluation": service.ready_dataset(), "calibration": wrong}
    answer = submit(service.http, model=service.ready_model(), data=data)
    assert (answer.status_code, answer.json()["code"]) == (422, "data_does_not_fit")
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/data/calibration"]


def test_models_of_different_signatures_are_not_compared(service: LiveService, model: str) -> None:
    other = service.ready_model(outputs=[{**MODEL["outputs"][0], "name": "logits"}])
    answer = service.http.post("/v1/jobs", json={"kind": "compare", "model": other, "against": model})
    assert (answer.status_code, answer.json()["code"]) == (422, "models_differ")


def test_a_target_that_nobody_measures_on_is_refused(service: LiveService, model: str) -> None:
    answer = submit(service.http, model=model, target="abacus")
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_target")


def test_unknown_parameters_are_refused(http: httpx.Client, model: str) -> None:
    for query in ("validate_onyl=true", "validate_only=yes", "validate_only=1"):
        answer = http.post(f"/v1/jobs?{query}", json={"kind": "optimize", "model": model})
        assert answer.json()["code"] == "invalid_parameters"


def test_a_target_that_a_worker_measures_on_is_listed_and_taken(service: LiveService, model: str) -> None:
    machine = this_machine().model_dump(mode="json")
    engine = make_engine(service.settings)
    with sessions(engine).begin() as session:
        for worker, seen_at in (("a", utc_now()), ("b", utc_now()), ("dead", utc_now() - timedelta(minutes=5))):
            target = "silent" if worker == "dead" else "loud.2"
            session.merge(WorkerRecord(id=worker, target=target, machine=machine, seen_at=seen_at))
    engine.dispose()
    [target] = service.http.get("/v1/targets").json()["items"]
    assert (target["name"], target["workers"], target["machine"]) == ("loud.2", 2, machine)
    answer = submit(service.http, model=model, target="loud.2")
    assert (answer.status_code, answer.json()["target"]) == (202, "loud.2")


@pytest.mark.parametrize("report", [optimize_report(), compare_report()], ids=["optimize", "compare"])
def test_a_job_hands_back_what_its_report_says(
    service: LiveService, model: str, report: OptimizeReport | CompareReport
) -> None:
    job = submit(service.http, model=model).json()["id"]
    result = result_of(report).model_dump(mode="json", by_alias=True)
    service.end_job(job, result=result)
    answer = service.http.get(f"/v1/jobs/{job}").json()["result"]
    assert answer == result
    assert (answer["kind"], answer["verdict"], answer["why"]) == (report.kind, report.verdict, report.why)


def test_jobs_are_listed_by_state_kind_and_model(service: LiveService) -> None:
    model = service.ready_model()
    job = submit(service.http, model=model).json()["id"]
    listed = service.http.get("/v1/jobs", params={"model": model, "kind": "optimize", "state": "queued"}).json()
    assert [item["id"] for item in listed["items"]] == [job]
    assert service.http.get("/v1/jobs", params={"model": model, "state": "failed"}).json()["items"] == []


def test_a_queued_job_is_cancelled_at_once_and_again_without_harm(service: LiveService, model: str) -> None:
    job = submit(service.http, model=model).json()["id"]
    for _ in range(2):
        answer = service.http.post(f"/v1/jobs/{job}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert answer.json()["queue_position"] is None


def test_a_running_job_is_asked_to_end(service: LiveService, model: str) -> None:
    job = submit(service.http, model=model).json()["id"]
    service.change(JobRecord, job, state="running", worker="w", fence=1)
    answer = service.http.post(f"/v1/jobs/{job}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelling")
    service.end_job(job)


def test_a_job_that_has_succeeded_can_no_longer_be_cancelled(service: LiveService, model: str) -> None:
    job = submit(service.http, model=model).json()["id"]
    service.end_job(job)
    answer = service.http.post(f"/v1/jobs/{job}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "job_has_ended")
    assert "retry-after" not in service.http.get(f"/v1/jobs/{job}").headers


def test_a_failed_job_says_whose_fault_it_is(service: LiveService, model: str) -> None:
    job = submit(service.http, model=model).json()["id"]
    error = {"code": "out_of_memory", "class": "capacity", "detail": "4 GB were not enough.", "hint": "Take less."}
    service.end_job(job, state="failed", error=error)
    assert service.http.get(f"/v1/jobs/{job}").json()["error"] == error


def test_a_running_job_says_how_long_it_will_take(service: LiveService, model: str) -> None:
    job = submit(service.http, model=model).json()["id"]
    started = utc_now() - timedelta(seconds=30)
    service.change(JobRecord, job, state="running", started_at=started, fraction=0.25, phase="apply", message="half")
    body = service.http.get(f"/v1/jobs/{job}").json()
    assert body["phase"] == "apply"
    assert body["progress"]["message"] == "half"
    assert 85 <= body["progress"]["eta_s"] <= 120
    service.end_job(job)


def test_waiting_for_a_job_ends_with_it(service: LiveService, model: str) -> None:
    job = submit(service.http, model=model).json()["id"]
    threading.Timer(0.3, lambda: service.end_job(job)).start()
    started = time.monotonic()
    answer = service.http.get(f"/v1/jobs/{job}", headers={"Prefer": "respond-async, wait=20"})
    assert answer.json()["state"] == "succeeded"
    assert time.monotonic() - started < 5


def test_reports_are_there_when_the_job_has_ended(service: LiveService, model: str) -> None:
    job = submit(service.http, model=model).json()["id"]
    early = service.http.get(f"/v1/jobs/{job}/report")
    assert (early.status_code, early.json()["code"]) == (409, "not_ready")
    blobs = service.blobs()
    report, page = blobs.add_bytes(b'{"verdict": "improved"}'), blobs.add_bytes(b"<script>alert(1)</script>")
    service.end_job(job, report=report, report_html=page)
    answer = service.http.get(f"/v1/jobs/{job}/report")
    assert (answer.json(), answer.headers["content-type"]) == ({"verdict": "improved"}, "application/json")
    assert service.http.get(f"/v1/jobs/{job}").json()["has_report"] is True
    assert answer.headers["etag"] == f'"{report}"'


def test_a_report_page_may_show_itself_and_nothing_else(service: LiveService, model: str) -> None:
    job = submit(service.http, model=model).json()["id"]
    service.end_job(job, report_html=service.blobs().add_bytes(b"<script>alert(1)</script>"))
    answer = service.http.get(f"/v1/jobs/{job}/report.html")
    policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert answer.headers["content-security-policy"] == policy
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_job_that_left_no_report_says_so(service: LiveService, model: str) -> None:
    job = submit(service.http, model=model).json()["id"]
    service.end_job(job, state="failed")
    answer = service.http.get(f"/v1/jobs/{job}/report")
    assert (answer.status_code, answer.json()["code"]) == (404, "report_not_found")


def test_a_model_or_dataset_in_use_by_a_job_stays(service: LiveService) -> None:
    model, against, dataset = service.ready_model(), service.ready_model(), service.ready_dataset()
    service.change(DatasetRecord, dataset, name="kept.npz")
    for row in (model, against, dataset):
        [inspect] = service.http.get("/v1/jobs", params={"model": row}).json()["items"]
        service.end_job(inspect["id"])
    body = {"kind": "compare", "model": model, "against": against, "data": {"evaluation": dataset}}
    job = service.http.post("/v1/jobs", json=body).json()["id"]
    places = [f"/v1/models/{model}", f"/v1/models/{against}", f"/v1/datasets/{dataset}"]
    for place in places:
        assert service.http.delete(place, headers={"If-Match": "*"}).json()["code"] == "in_use"
    service.http.post(f"/v1/jobs/{job}/cancel")
    for place in places:
        assert service.http.delete(place, headers={"If-Match": "*"}).status_code == 204


def test_more_jobs_than_may_wait_are_turned_away(tmp_path: Any) -> None:
    with live_service(tmp_path, max_queued_jobs=2) as service:
        model = service.ready_model()  # its inspection waits, too
        assert submit(service.http, model=model).status_code == 202
        answer = submit(service.http, model=model)
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_jobs")
        assert int(answer.headers["retry-after"]) > 0
