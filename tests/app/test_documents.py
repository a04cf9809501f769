"""What is written down about the service is what it does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app import openapi, settings_page
from app.core.settings import Settings
from tests.support.live_service import LiveService, live_service

CONTRACT: dict[str, Any] = json.loads(openapi.PATH.read_text(encoding="utf-8"))
OPERATIONS = [each for path in CONTRACT["paths"].values() for each in path.values()]


def test_the_contract_in_the_repository_is_the_services_own() -> None:
    assert openapi.PATH.read_text(encoding="utf-8") == openapi.document(), "run `python -m app.openapi`"


def test_the_service_serves_its_contract(service: LiveService) -> None:
    assert service.http.get("/openapi.json").json() == CONTRACT


def test_every_reference_in_the_contract_leads_somewhere() -> None:
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(CONTRACT)))
    assert references - CONTRACT["components"]["schemas"].keys() == set()


def test_every_operation_is_described_and_declares_its_problems() -> None:
    for operation in OPERATIONS:
        assert operation["description"]
        assert operation["tags"]
        problems = [answer for status, answer in operation["responses"].items() if status[0] in "45"]
        assert problems
        assert all(set(answer["content"]) == {"application/problem+json"} for answer in problems)


def test_every_property_of_a_body_is_described() -> None:
    schemas = CONTRACT["components"]["schemas"]
    bodies = ("OptimizeBody", "CompareBody", "BenchmarkBody", "ProfileBody", "Goal", "MaxDrop", "Workload")
    parts = ("Thresholds", "InputPreprocessing", "Offline", "MultiStream", "Server", "Batching", "ServingGoal")
    files = ("ModelBody", "ModelFile")
    for name in (*bodies, *parts, *files, "OnnxRuntimeSettings", "OpenVinoSettings"):
        for key, schema in schemas[name]["properties"].items():
            assert "description" in schema or "const" in schema or "$ref" in schema, f"{name}.{key}"


def test_every_setting_is_documented() -> None:
    assert settings_page.PATH.read_text(encoding="utf-8") == settings_page.page(), "run `python -m app.settings_page`"
    for name in Settings.model_fields:
        assert f"`ENXUTO_{name.upper()}`" in settings_page.page()


def test_the_pages_for_people_need_no_other_server(service: LiveService) -> None:
    page = service.http.get("/docs").text
    linked = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert linked
    assert all(link.startswith((service.url, "/", "data:")) for link in linked)
    for link in linked:
        assert service.http.get(link).status_code == 200


def test_every_technique_comes_with_the_schema_of_its_parameters(service: LiveService) -> None:
    techniques = service.http.get("/v1/techniques").json()["items"]
    kinds = CONTRACT["components"]["schemas"]["OptimizeBody"]["properties"]["recipe"]["anyOf"][0]["items"]
    assert {each["kind"] for each in techniques} == set(kinds["discriminator"]["mapping"])
    for technique in techniques:
        assert technique["summary"]
        assert technique["parameters"]["additionalProperties"] is False


KEY = "enx_0123456789abcdef0123"
FRAMING = {"content-length", "transfer-encoding", "connection", "host", "expect"}
"""Headers that say how a message is read: made up, they make it no HTTP message, which never reaches the service."""
REFUSALS = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 428, 429]
"""Of a wrong call. Beside schemathesis' own, 413: a list that is too long may make a body that is not even read. And
412: what does not speak the protocol of uploads is refused before anything else of it is looked at."""
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
contract = schemathesis.openapi.from_dict(
    CONTRACT,
    config=schemathesis.Config.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}}}),
)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with live_service(tmp_path_factory.mktemp("contract"), operator_key=KEY, max_wait_s=0.1) as service:
        yield service


@contract.parametrize()
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_no_call_that_the_contract_allows_or_forbids_breaks_the_service(
    case: schemathesis.Case, keyed: LiveService
) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    for name in FRAMING & {given.lower() for given in case.headers}:
        del case.headers[name]
    # what is well-formed may still name a model that is not there, or a cursor that nobody handed out
    case.call_and_validate(base_url=keyed.url, timeout=20, headers=headers, excluded_checks=[positive_data_acceptance])
