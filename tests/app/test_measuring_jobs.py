"""Benchmarks and profiles over HTTP: checked before they are taken, told in words when they are refused."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from app.api import examples
from app.api.requests import JobBodyAdapter
from app.core.results import SLOWEST_NODES, result_of
from enxuto.report import BenchmarkReport, ProfileReport
from tests.support import reports
from tests.support.live_service import LiveService

NOWHERE = "mdl_" + "0" * 26


@pytest.fixture(scope="module")
def model(service: LiveService) -> str:
    return service.ready_model()


@pytest.fixture(scope="module")
def dataset(service: LiveService) -> str:
    return service.ready_dataset()


def validated(service: LiveService, **body: Any) -> dict[str, Any]:
    answer = service.http.post("/v1/jobs", params={"validate_only": "true"}, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize("name", examples.JOB_EXAMPLES)
def test_every_example_of_the_contract_is_taken(service: LiveService, model: str, dataset: str, name: str) -> None:
    shown = service.http.get("/openapi.json").json()["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]
    body = json.dumps(shown["application/json"]["examples"][name]["value"])
    JobBodyAdapter.validate_json(body)
    ids = {examples.MODEL: model, examples.AGAINST: service.ready_model(), examples.DATASET: dataset}
    for given, there in ids.items():
        body = body.replace(given, there)
    headers = {"Content-Type": "application/json"}
    answer = service.http.post("/v1/jobs", content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.json()["kind"] == json.loads(body)["kind"]
    again = service.http.post("/v1/jobs", json=answer.json()["request"])
    assert (again.status_code, again.json()["request"]) == (202, answer.json()["request"])


def test_a_benchmark_comes_back_with_everything_that_was_left_open(service: LiveService, model: str) -> None:
    found = validated(service, kind="benchmark", model=model)
    request, estimate = found["request"], found["estimate"]
    assert (request["scenario"]["kind"], request["scenario"]["batch_sizes"]) == ("offline", None)
    assert request["scenario"]["threads"] == [1]
    assert [one["runtime"] for one in request["settings"]] == ["onnxruntime", "openvino"]
    assert estimate["points"] > 2
    assert estimate["timing_s"] > 0
    assert (estimate["candidates"], estimate["evaluated_samples"], estimate["deadline_s"]) == (0, 0, None)


def test_more_points_and_longer_runs_cost_more(service: LiveService, model: str) -> None:
    def cost(**scenario: Any) -> dict[str, Any]:
        found = validated(service, kind="benchmark", model=model, scenario=scenario)["estimate"]
        return dict(found)

    few = cost(kind="offline", batch_sizes=[1, 2])
    many = cost(kind="offline", batch_sizes=[1, 2], threads=[1, 2], instances=[1, 2])
    assert (few["points"], many["points"]) == (4, 16)
    assert many["timing_s"] == 4 * few["timing_s"]
    given, searched = (
        {"kind": "server", "latency_ms": 9, "duration_s": 30, **more} for more in ({"rate_per_s": 5}, {})
    )
    assert cost(**given)["timing_s"] == 30
    assert cost(**searched)["timing_s"] > 30


def test_a_profile_says_what_it_costs(service: LiveService, model: str) -> None:
    alone = validated(service, kind="profile", model=model)["estimate"]
    beside = validated(service, kind="profile", model=model, against=service.ready_model())["estimate"]
    assert (alone["fresh_loads"], beside["fresh_loads"]) == (1, 2)
    assert 0 < alone["timing_s"] < beside["timing_s"]


@pytest.mark.parametrize(
    ("body", "pointer", "says"),
    [
        ({"scenario": {"kind": "offline", "batch_sizes": [0]}}, "/scenario/batch_sizes/0", "or equal to 1"),
        ({"scenario": {"kind": "offline", "batch_sizes": []}}, "/scenario/batch_sizes", "at least 1 item"),
        ({"scenario": {"kind": "offline", "batch_sizes": [10**9]}}, "/scenario/batch_sizes/0", "less than or equal"),
        ({"scenario": {"kind": "offline", "batch_sizes": [1] * 33}}, "/scenario/batch_sizes", "at most 32 items"),
        ({"scenario": {"kind": "offline", "threads": [0]}}, "/scenario/threads/0", "or equal to 1"),
        ({"scenario": {"kind": "offline", "threads": [100_000]}}, "/scenario/threads/0", "less than or equal to 1024"),
        ({"scenario": {"kind": "offline", "duration_s": 3}}, "/scenario/duration_s", "no such field"),
        ({"scenario": {"kind": "server"}}, "/scenario/latency_ms", "This field is needed"),
        ({"scenario": {"kind": "server", "latency_ms": 0}}, "/scenario/latency_ms", "greater than 0"),
        ({"scenario": {"kind": "server", "latency_ms": 9, "percentile": 99.99}}, "/scenario/percentile", "99.9"),
        ({"scenario": {"kind": "server", "latency_ms": 9, "rate_per_s": -1}}, "/scenario/rate_per_s", "greater than 0"),
        ({"scenario": {"kind": "single_stream", "duration_s": 0}}, "/scenario/duration_s", "greater than 0"),
        ({"scenario": {"kind": "single_stream", "duration_s": 1e9}}, "/scenario/duration_s", "less than or equal"),
        ({"scenario": {"kind": "burst"}}, "/scenario", "no kind 'burst'; there are 'offline', 'single_stream'"),
        ({"scenario": {"batch_sizes": [1]}}, "/scenario", "'kind' is needed"),
        ({"scenario": {"kind": "single_stream"}, "serving": {"p95_ms": 9}}, "", "ask for that one"),
        ({"scenario": {"kind": "single_stream"}, "memory_mb": 9}, "", "ask for that one"),
        ({"serving": {"rate_per_s": 9}}, "/serving/p95_ms", "This field is needed"),
        ({"settings": [{"runtime": "tflite"}]}, "/settings/0", "'tflite'"),
        ({"settings": []}, "/settings", "at least 1 item"),
        ({"settings": [{"runtime": "openvino", "arena": True}]}, "/settings/0/arena", "no such field"),
        ({"metric": {"kind": "top_k"}}, "/metric", "no such field"),
        (
            {"scenario": {"kind": "offline", "batch_sizes": [*range(1, 33)], "threads": [*range(1, 17)]}},
            "",
            "combine to 1,024 points; at most 512",
        ),
    ],
)  # fmt: skip
def test_a_benchmark_that_makes_no_sense_is_refused_in_words(
    http: httpx.Client, body: dict[str, Any], pointer: str, says: str
) -> None:
    answer = http.post("/v1/jobs", json={"kind": "benchmark", "model": NOWHERE, **body})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body"), answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert says in answer.json()["detail"]
    assert not any(word in answer.json()["detail"] for word in ("pattern", " tag", "Value error", "validation"))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["latency_ms", "rate_per_s", "duration_s", "percentile"])
def test_what_is_no_number_is_no_parameter(http: httpx.Client, field: str, number: str) -> None:
    scenario = f'{{"kind": "server", "latency_ms": 9, "{field}": {number}}}'
    if field == "latency_ms":
        scenario = f'{{"kind": "server", "latency_ms": {number}}}'
    body = f'{{"kind": "benchmark", "model": "{NOWHERE}", "scenario": {scenario}}}'
    answer = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) in {(400, "json_malformed"), (422, "invalid_body")}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"against": "other"}, "/against"),
        ({"settings": [{"runtime": "openvino"}]}, "/settings"),
        ({"scenario": {"kind": "offline"}}, "/scenario"),
        ({"data": {"calibration": "dst_" + "0" * 26}}, "/data/calibration"),
        ({"workload": {"batch_size": 0}}, "/workload/batch_size"),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused(http: httpx.Client, body: dict[str, Any], pointer: str) -> None:
    answer = http.post("/v1/jobs", json={"kind": "profile", "model": NOWHERE, **body})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body"), answer.text
    assert [error["pointer"].removesuffix("/0") for error in answer.json()["errors"]] == [pointer]


def test_what_they_name_must_be_there(service: LiveService, model: str) -> None:
    missing = service.http.post("/v1/jobs", json={"kind": "benchmark", "model": NOWHERE})
    assert (missing.status_code, missing.json()["errors"][0]["pointer"]) == (404, "/model")
    missing = service.http.post("/v1/jobs", json={"kind": "profile", "model": model, "against": NOWHERE})
    assert (missing.status_code, missing.json()["errors"][0]["pointer"]) == (404, "/against")
    body = {"kind": "benchmark", "model": model, "data": {"evaluation": "dst_" + "0" * 26}}
    missing = service.http.post("/v1/jobs", json=body)
    assert (missing.status_code, missing.json()["errors"][0]["pointer"]) == (404, "/data/evaluation")


@pytest.mark.parametrize(
    "report",
    [reports.benchmark_report(), reports.server_report(), reports.profile_report(), reports.profile_of_two()],
    ids=["benchmark", "server", "profile", "profile of two"],
)
def test_a_job_hands_back_what_its_report_says(
    service: LiveService, model: str, report: BenchmarkReport | ProfileReport
) -> None:
    job = service.http.post("/v1/jobs", json={"kind": report.kind, "model": model}).json()["id"]
    result = result_of(report).model_dump(mode="json", by_alias=True)
    service.end_job(job, result=result)
    answer = service.http.get(f"/v1/jobs/{job}").json()["result"]
    assert answer == result
    assert (answer["kind"], answer["why"]) == (report.kind, report.why)
    listed = service.http.get("/v1/jobs", params={"kind": report.kind, "model": model}).json()["items"]
    assert job in {one["id"] for one in listed}


def test_the_knee_of_a_result_is_the_one_that_carries_most() -> None:
    result = result_of(reports.benchmark_report()).model_dump()
    assert result["knee"]["samples_per_s"] == max(knee["samples_per_s"] for knee in result["knees"])
    assert result["plan"]["batching"]["max_batch"] == 16
    assert result_of(reports.server_report()).model_dump()["knee"] is None


def test_a_result_holds_the_slowest_nodes_of_a_large_network_alone() -> None:
    report = reports.profile_report()
    many = [
        report.profile.nodes[0].model_copy(update={"name": f"n{number}", "ms": float(number)}) for number in range(999)
    ]
    result = result_of(report.model_copy(update={"profile": report.profile.model_copy(update={"nodes": many})}))
    assert [node["name"] for node in result.model_dump()["nodes"]] == [f"n{998 - n}" for n in range(SLOWEST_NODES)]
