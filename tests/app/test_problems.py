"""Every error is a problem, in one form, with a page that explains it."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.api.problem import Problem
from app.core.problem_pages import problem_pages
from app.core.settings import Settings
from app.main import create_app
from tests.support.live_service import LiveService

ROOT = Path(__file__).parents[2]
OPERATIONS = [
    (method.upper(), path)
    for path, operations in create_app(Settings()).openapi()["paths"].items()
    for method in operations
]


def codes_in_sources() -> set[str]:
    """Every literal ``code="…"`` and ``default_code = "…"``."""
    return {
        code
        for package in ("enxuto", "app", "workers")
        for path in (ROOT / package).rglob("*.py")
        for code in codes_in(ast.parse(path.read_text(encoding="utf-8")))
    }


def codes_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="code", value=ast.Constant(value=str(code))):
                yield code
            case ast.Assign(targets=[ast.Name(id="default_code")], value=ast.Constant(value=str(code))):
                yield code
            case ast.AnnAssign(target=ast.Name(id="default_code"), value=ast.Constant(value=str(code))):
                yield code


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    documented, raised = set(problem_pages()), codes_in_sources()
    assert sorted(raised - documented) == [], "write a section for each of these into app/problems.md"
    assert sorted(documented - raised) == [], "no source raises these any more: take them out of app/problems.md"


def test_every_section_of_the_document_is_read_as_a_page() -> None:
    document = (ROOT / "app" / "problems.md").read_text(encoding="utf-8")
    assert [page.code for page in problem_pages().values()] == re.findall(r"^## (.+)$", document, re.MULTILINE)
    assert all(page.text.strip() for page in problem_pages().values())


TUS = {"Tus-Resumable": "1.0.0"}
"""Uploads refuse what does not speak their protocol before they look for anything."""


def assert_problem(answer: httpx.Response) -> Problem:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = Problem.model_validate_json(answer.content)
    assert problem.status == answer.status_code
    assert problem.type == f"/problems/{problem.code}"
    assert problem.instance.endswith(answer.headers["x-request-id"])
    assert problem.code in problem_pages()
    assert problem.title == problem_pages()[problem.code].title
    assert problem.hint
    return problem


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_route_answers_a_wrong_call_with_a_problem(http: httpx.Client, method: str, path: str) -> None:
    place = path.replace("{id}", "mdl_nothing").replace("{code}", "nothing").replace("{name}", "nothing")
    assert assert_problem(http.request(method, f"{place}?surprise=1")).code == "invalid_parameters"
    if "{" in path:
        assert assert_problem(http.request(method, place, json={"name": "a"}, headers=TUS)).status in (404, 428)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_route_refuses_other_methods_and_names_its_own(http: httpx.Client, method: str, path: str) -> None:
    answer = http.request("REPORT", path.replace("{id}", "x").replace("{code}", "x"))
    assert assert_problem(answer).status == 405
    assert method in answer.headers["allow"].split(", ")


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1", "/v1/", "/v1/models/", "/v1/models/x/y", "/V1/models", "/v1//models"]
)
def test_where_nothing_is_there_is_a_problem(http: httpx.Client, path: str) -> None:
    assert assert_problem(http.get(path)).code == "route_not_found"


def test_a_fault_of_the_service_is_a_problem_that_tells_nothing_of_its_inside(service: LiveService) -> None:
    model = service.upload("m.onnx", b"bytes that vanish")
    service.blobs().delete(model["sha256"])
    problem = assert_problem(service.http.get(f"/v1/models/{model['id']}/content"))
    assert problem.status == 500
    assert str(service.settings.data_dir) not in problem.model_dump_json()
    assert problem.instance.removeprefix("urn:enxuto:request:") in service.log.read_text()


def test_a_problem_has_a_page_for_people(http: httpx.Client) -> None:
    page = http.get("/problems/not_found")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert problem_pages()["not_found"].title in page.text
    listed = http.get("/problems").text
    assert all(f"/problems/{code}" in listed for code in problem_pages())


def test_a_request_keeps_the_id_that_it_came_with(http: httpx.Client) -> None:
    assert http.get("/livez", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    made_up = http.get("/livez", headers={"X-Request-Id": "a b\tc"}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{16}", made_up)


def test_calls_are_logged_as_json_with_their_id(service: LiveService) -> None:
    service.http.get("/v1/models", headers={"X-Request-Id": "logged-1"})
    for _ in range(100):
        lines = [line for line in service.log.read_text().splitlines() if "logged-1" in line]
        if lines:
            break
        time.sleep(0.02)
    [line] = lines
    assert '"path": "/v1/models"' in line
    assert '"status": 200' in line


def test_every_finding_says_what_to_do() -> None:
    silent = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for package in ("enxuto", "app", "workers")
        for path in (ROOT / package).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and "code" in (given := literals_of(call)) and "hint" not in given
    ]
    assert silent == [], "add a hint"


def literals_of(call: ast.Call) -> set[str]:
    """Keywords of a call that raises or makes a finding; a fault within a problem has the problem's hint."""
    if isinstance(call.func, ast.Name) and call.func.id == "Fault":
        return set()
    return {
        keyword.arg or ""
        for keyword in call.keywords
        if keyword.arg != "code" or isinstance(keyword.value, ast.Constant)
    }
