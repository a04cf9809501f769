"""Who may call: the local user without a key, everybody else with one, and no web page at all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.core.settings import NeedsKey, Settings
from app.main import create_app
from tests.support.live_service import LiveService, live_service

KEY = "enx_0123456789abcdef0123"


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with live_service(tmp_path_factory.mktemp("keyed"), operator_key=KEY) as service:
        yield service


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil", "10.0.0.1"]
)
def test_a_name_that_was_pointed_at_loopback_is_refused(http: httpx.Client, host: str) -> None:
    answer = http.get("/v1/models", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (403, "unknown_host")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.8.8.8:80", "[::1]:8000", "api.localhost"]
)
def test_loopback_by_any_of_its_names_is_answered(http: httpx.Client, host: str) -> None:
    assert http.get("/v1/models", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://["}],
)
def test_a_web_page_of_another_origin_changes_nothing(service: LiveService, headers: dict[str, str]) -> None:
    answer = service.http.post("/v1/models?name=m.onnx", content=b"from a page", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin")
    assert not service.holds(b"from a page")


def test_the_services_own_pages_may_call_it(service: LiveService) -> None:
    headers = {"Origin": service.url, "Sec-Fetch-Site": "same-origin"}
    assert service.http.post("/v1/models?name=m.onnx", content=os.urandom(9), headers=headers).status_code == 201


def test_no_answer_may_be_read_by_another_origin(http: httpx.Client) -> None:
    answer = http.get("/v1/models", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x", "Bearer enx_é"]
)
def test_without_the_key_nothing_is_answered(keyed: LiveService, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode()}
    for method, path in [
        ("GET", "/v1/models"),
        ("POST", "/v1/models?name=m"),
        ("GET", "/v1/jobs/x"),
        ("GET", "/v1/targets"),
    ]:
        answer = keyed.http.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_body_without_the_key_is_not_taken(keyed: LiveService) -> None:
    keyed.http.post("/v1/models?name=m.onnx", content=b"without a key")
    assert not keyed.holds(b"without a key")


def test_with_the_key_everything_is_answered_under_any_name(keyed: LiveService) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Host": "enxuto.example"}
    assert keyed.http.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/openapi.json", "/problems", "/docs"])
def test_what_holds_nothing_of_users_needs_no_key(keyed: LiveService, path: str) -> None:
    assert keyed.http.get(path).status_code == 200


def test_the_key_is_never_written_down(keyed: LiveService) -> None:
    keyed.http.get("/v1/models", headers={"Authorization": f"Bearer {KEY}"})
    assert KEY not in keyed.log.read_text()
    assert KEY not in str(Settings(operator_key=KEY))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])  # noqa: S104
def test_off_loopback_the_service_refuses_to_start_without_a_key(host: str) -> None:
    with pytest.raises(NeedsKey, match="ENXUTO_OPERATOR_KEY"):
        create_app(Settings(host=host))
    create_app(Settings(host=host, operator_key=KEY))


def test_the_refusal_to_start_is_one_clear_line(tmp_path: Path) -> None:
    environment = {**os.environ, "ENXUTO_HOST": "192.0.2.1", "ENXUTO_DATA_DIR": str(tmp_path / "data")}
    run = subprocess.run([sys.executable, "-m", "app"], env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert run.stderr.startswith("enxuto: Listening on 192.0.2.1")
    assert run.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("key", ["secret", "enx_short", "enx_has spaces in its middle", "enx_é0123456789abcdef"])
def test_a_weak_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="at least 16 characters") as refusal:
        Settings(operator_key=key)
    assert key not in str(refusal.value)
