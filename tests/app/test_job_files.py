"""What a job left beside its report and its models is listed and fetched, by its own tenant alone."""

from __future__ import annotations

import hashlib

import httpx
import pytest

from app.core.database import make_engine, sessions, utc_now
from app.core.records import JobFileRecord, JobRecord, TenantRecord
from tests.support.live_service import LiveService

SETTINGS, CALLS = b'{"runtime": "onnxruntime"}', bytes(range(250)) * 4


def job_with_files(service: LiveService, **files: tuple[str, bytes]) -> str:
    """A job that has ended; its files as ``name=(role, bytes)``, dots written as two underscores."""
    body = {"kind": "compare", "model": service.ready_model(), "against": service.ready_model()}
    job = str(service.http.post("/v1/jobs", json=body).json()["id"])
    engine = make_engine(service.settings)
    with sessions(engine).begin() as session:
        for name, (role, data) in files.items():
            digest = service.blobs().add_bytes(data)
            file = {"name": name.replace("__", "."), "role": role, "sha256": digest, "size_bytes": len(data)}
            session.add(JobFileRecord(job=job, **file))
    engine.dispose()
    service.end_job(job)
    return job


@pytest.fixture(scope="module")
def job(service: LiveService) -> str:
    page = b"<script>alert(1)</script>"
    return job_with_files(
        service, settings__json=("delivered", SETTINGS), calls__npz=("raw", CALLS), page__html=("delivered", page)
    )


def test_files_are_listed_by_name(service: LiveService, job: str) -> None:
    answer = service.http.get(f"/v1/jobs/{job}/files")
    assert answer.status_code == 200
    assert answer.json()["next_cursor"] is None
    calls, page, settings = answer.json()["items"]
    assert (calls["name"], page["name"], settings["name"]) == ("calls.npz", "page.html", "settings.json")
    assert settings == {
        "name": "settings.json", "role": "delivered", "sha256": hashlib.sha256(SETTINGS).hexdigest(),
        "size_bytes": len(SETTINGS), "media_type": "application/json",
    }  # fmt: skip
    assert (calls["role"], calls["media_type"]) == ("raw", "application/octet-stream")
    again = service.http.get(f"/v1/jobs/{job}/files", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_a_file_comes_under_its_name_and_digest_and_may_do_nothing(service: LiveService, job: str) -> None:
    answer = service.http.get(f"/v1/jobs/{job}/files/settings.json")
    assert (answer.content, answer.headers["content-type"]) == (SETTINGS, "application/json")
    assert answer.headers["etag"] == f'"{hashlib.sha256(SETTINGS).hexdigest()}"'
    assert answer.headers["content-disposition"].startswith('attachment; filename="settings.json"')
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


def test_nothing_that_a_browser_would_run_is_called_what_it_is(service: LiveService, job: str) -> None:
    answer = service.http.get(f"/v1/jobs/{job}/files/page.html")
    assert answer.headers["content-type"] == "application/octet-stream"


def test_a_file_comes_in_ranges(service: LiveService, job: str) -> None:
    place = f"/v1/jobs/{job}/files/calls.npz"
    answer = service.http.get(place, headers={"Range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, CALLS[10:20])
    assert answer.headers["content-range"] == f"bytes 10-19/{len(CALLS)}"
    head = service.http.head(place)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(CALLS)), b"")


@pytest.mark.parametrize("name", ["nothing.json", "..%2Fsettings.json", "%00", "SETTINGS.json", "x" * 500])
def test_a_file_that_is_not_there_is_not_found(service: LiveService, job: str, name: str) -> None:
    answer = service.http.get(f"/v1/jobs/{job}/files/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_before_its_end_a_job_has_no_files_yet(service: LiveService) -> None:
    body = {"kind": "compare", "model": service.ready_model(), "against": service.ready_model()}
    job = service.http.post("/v1/jobs", json=body).json()["id"]
    for place in ("files", "files/settings.json"):
        answer = service.http.get(f"/v1/jobs/{job}/{place}")
        assert (answer.status_code, answer.json()["code"]) == (409, "not_ready")
        assert int(answer.headers["retry-after"]) > 0
    service.end_job(job, state="failed")
    assert service.http.get(f"/v1/jobs/{job}/files").json()["items"] == []


def test_files_of_another_tenant_are_as_if_there_were_none(service: LiveService) -> None:
    job = job_with_files(service, settings__json=("delivered", SETTINGS))
    engine = make_engine(service.settings)
    with sessions(engine).begin() as session:
        session.merge(TenantRecord(id="other", created_at=utc_now()))
    engine.dispose()
    service.change(JobRecord, job, tenant="other")

    def told(answer: httpx.Response) -> tuple[int, str, str]:
        body = answer.json()
        return answer.status_code, body["code"], body["detail"].replace(job, "…").replace("job_" + "0" * 26, "…")

    for place in ("files", "files/settings.json"):
        missing = service.http.get(f"/v1/jobs/job_{'0' * 26}/{place}")
        assert told(service.http.get(f"/v1/jobs/{job}/{place}")) == told(missing)
        assert missing.status_code == 404
