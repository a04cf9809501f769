"""Bytes come in whole or not at all, under their digest, whatever the way they are sent."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from app.core.records import ModelRecord
from tests.support.live_service import LiveService, live_service


def wait_until(condition: Callable[[], bool]) -> bool:
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("size", [1, 2, 4095, 65_536, 65_537, 1_000_003])
def test_a_file_of_any_size_comes_in_whole(service: LiveService, http: httpx.Client, size: int) -> None:
    data = os.urandom(size)
    answer = http.post("/v1/models", params={"name": "m.onnx"}, content=data)
    assert answer.status_code == 201
    body = answer.json()
    assert (body["sha256"], body["size_bytes"]) == (hashlib.sha256(data).hexdigest(), size)
    assert answer.headers["location"] == f"/v1/models/{body['id']}"
    assert http.get(answer.headers["location"]).json() == body
    assert http.get(f"/v1/models/{body['id']}/content").content == data


def test_an_upload_without_announced_length_comes_in_whole(http: httpx.Client) -> None:
    pieces = [os.urandom(70_001) for _ in range(5)]
    answer = http.post("/v1/models", params={"name": "m.onnx"}, content=iter(pieces))
    assert answer.json()["sha256"] == hashlib.sha256(b"".join(pieces)).hexdigest()


def test_an_upload_brings_its_inspection_with_it(http: httpx.Client) -> None:
    model = http.post("/v1/models", params={"name": "m.onnx"}, content=os.urandom(9)).json()
    assert model["state"] == "inspecting"
    [job] = http.get("/v1/jobs", params={"model": model["id"]}).json()["items"]
    assert (job["kind"], job["state"]) == ("inspect", "queued")
    assert job["request"]["model"] == model["id"]


def test_the_same_bytes_are_taken_once_whatever_they_are_called(http: httpx.Client) -> None:
    data = os.urandom(33)
    first = http.post("/v1/models", params={"name": "a.onnx"}, content=data)
    second = http.post("/v1/models", params={"name": "b.onnx"}, content=data)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json()
    assert second.headers["location"] == first.headers["location"]


def test_bytes_that_were_rejected_under_another_name_are_looked_at_again(service: LiveService) -> None:
    data = os.urandom(33)
    rejected = service.upload("model.npz", data)
    service.change(ModelRecord, rejected["id"], state="rejected", finding=_finding())
    assert service.upload("model.npz", data)["id"] == rejected["id"]
    assert service.upload("model.onnx", data)["id"] != rejected["id"]


def test_bytes_that_were_rejected_for_want_of_room_are_looked_at_again(service: LiveService) -> None:
    data = os.urandom(33)
    rejected = service.upload("model.onnx", data)
    finding = {**_finding(), "code": "disk_full", "fault": "capacity"}
    service.change(ModelRecord, rejected["id"], state="rejected", finding=finding)
    assert service.upload("model.onnx", data)["id"] != rejected["id"]


def test_uploads_of_the_same_bytes_at_the_same_time_end_in_one_model(service: LiveService) -> None:
    data = os.urandom(200_000)
    with _clients(service, 6) as clients, ThreadPoolExecutor(6) as pool:
        sent = [pool.submit(client.post, "/v1/models", params={"name": "m.onnx"}, content=data) for client in clients]
        answers = [each.result() for each in sent]
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_a_form_with_one_file_is_taken_under_its_own_name(http: httpx.Client) -> None:
    data = os.urandom(300_000) + b"\r\n--boundary-like\r\n"
    answer = http.post("/v1/datasets", files={"file": ("calib.npz", data)})
    assert answer.status_code == 201
    assert answer.json()["name"] == "calib.npz"
    assert answer.json()["sha256"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"files": [("a", ("a.onnx", b"1")), ("b", ("b.onnx", b"2"))]}, "not_one_file"),
        ({"files": {"a": ("a.onnx", b"1")}, "data": {"comment": "hello"}}, "not_one_file"),
        ({"files": {"a": (None, b"1")}}, "not_one_file"),
    ],
)
def test_a_form_that_is_not_exactly_one_file_is_refused(http: httpx.Client, form: dict[str, object], code: str) -> None:
    answer = http.post("/v1/models", **form)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize(
    "body",
    [
        b"no boundary at all",
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="m.onnx"\r\n\r\nhalf',
        b"--b\r\nContent-Disposition form-data\r\n\r\nx\r\n--b--\r\n",
    ],
)
def test_a_broken_form_is_refused_and_leaves_nothing(service: LiveService, body: bytes) -> None:
    before = service.files()
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = service.http.post("/v1/models", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "multipart_malformed")
    assert service.files() == before


@pytest.mark.parametrize("content_type", ["application/xml", "application/x-www-form-urlencoded", "text/plain"])
def test_another_content_type_is_refused_and_the_right_ones_are_named(http: httpx.Client, content_type: str) -> None:
    answer = http.post("/v1/models?name=m.onnx", content=b"x", headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "application/octet-stream" in answer.json()["hint"]


def test_an_encoded_body_is_refused(http: httpx.Client) -> None:
    answer = http.post("/v1/models?name=m.onnx", content=b"x", headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_content_encoding")


@pytest.mark.parametrize(
    ("name", "status"),
    [("..%2Fm.onnx", 422), ("a%5Cb.onnx", 422), ("a%00b", 422), ("%0A", 422), ("", 422), ("m%20%C3%A9.onnx", 201)],
)
def test_a_name_is_a_plain_file_name(http: httpx.Client, name: str, status: int) -> None:
    assert http.post(f"/v1/models?name={name}", content=os.urandom(8)).status_code == status


def test_a_name_that_is_none_is_told_in_words(http: httpx.Client) -> None:
    detail = http.post("/v1/models?name=..%2Fm.onnx", content=b"x").json()["detail"]
    assert "slash" in detail
    assert "pattern" not in detail


def test_a_form_without_a_boundary_is_told_so(http: httpx.Client) -> None:
    answer = http.post("/v1/models", content=b"--x", headers={"Content-Type": "multipart/form-data"})
    assert (answer.status_code, answer.json()["code"]) == (400, "multipart_malformed")
    assert "names no boundary" in answer.json()["detail"]


def test_a_file_without_a_name_is_refused_before_it_is_kept(service: LiveService) -> None:
    answer = service.http.post("/v1/models", content=b"nameless")
    assert (answer.status_code, answer.json()["code"]) == (422, "name_missing")
    assert not service.holds(b"nameless")


def test_an_empty_file_is_refused(http: httpx.Client) -> None:
    answer = http.post("/v1/models?name=m.onnx", content=b"")
    assert (answer.status_code, answer.json()["code"]) == (422, "upload_empty")


def _digest(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def test_a_digest_that_fits_is_taken(http: httpx.Client) -> None:
    data = os.urandom(10)
    headers = {"Repr-Digest": f"sha-512=:AAAA:, {_digest(data)}"}
    assert http.post("/v1/models?name=m.onnx", content=data, headers=headers).status_code == 201


def test_a_digest_that_does_not_fit_is_refused_and_nothing_is_kept(service: LiveService) -> None:
    data = os.urandom(10)
    headers = {"Repr-Digest": _digest(b"something else")}
    answer = service.http.post("/v1/models?name=m.onnx", content=data, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "digest_mismatch")
    assert not service.holds(data)


@pytest.mark.parametrize("given", ["sha-256=:AAAA:", "sha-256=:A:", "sha-256=abc", "sha-256=", "sha-256=:"])
def test_a_digest_that_is_none_is_refused(http: httpx.Client, given: str) -> None:
    answer = http.post("/v1/models?name=m.onnx", content=b"x", headers={"Repr-Digest": given})
    assert (answer.status_code, answer.json()["code"]) == (400, "digest_invalid")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    """A service that takes little and waits for little."""
    limits = {"max_upload_bytes": 100_000, "upload_idle_s": 0.5, "max_body_bytes": 2000, "max_wait_s": 0.3}
    with live_service(tmp_path_factory.mktemp("small"), **limits) as service:
        yield service


def test_a_file_of_the_limit_is_taken_and_one_byte_more_is_not(small: LiveService) -> None:
    assert small.http.post("/v1/models?name=m.onnx", content=os.urandom(100_000)).status_code == 201
    before = small.files()
    answer = small.http.post("/v1/models?name=m.onnx", content=os.urandom(100_001))
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert small.files() == before


def test_a_file_that_announces_too_much_is_refused_before_its_first_byte(small: LiveService) -> None:
    with _connection(small) as connection:
        connection.sendall(_head("POST", "/v1/models?name=m.onnx", {"Content-Length": "9999999"}))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_stream_that_grows_too_large_is_refused_on_the_way(small: LiveService) -> None:
    before = small.files()
    answer = small.http.post("/v1/models?name=m.onnx", content=(os.urandom(50_000) for _ in range(3)))
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert small.files() == before


def test_a_client_that_goes_away_half_way_leaves_nothing(small: LiveService) -> None:
    before = small.files()
    with _connection(small) as connection:
        connection.sendall(_head("POST", "/v1/models?name=m.onnx", {"Content-Length": "50000"}) + b"x" * 20_000)
        assert wait_until(lambda: small.files() != before), "nothing was written while it came in"
    assert wait_until(lambda: small.files() == before)
    assert "m.onnx" not in str(small.http.get("/v1/models", params={"state": "rejected"}).json())


def test_a_client_that_stops_sending_is_told_so_and_leaves_nothing(small: LiveService) -> None:
    before = small.files()
    with _connection(small) as connection:
        connection.sendall(_head("POST", "/v1/models?name=m.onnx", {"Content-Length": "50000"}) + b"x" * 20_000)
        assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
    assert wait_until(lambda: small.files() == before)


def test_a_full_disk_is_a_problem_and_leaves_nothing(tmp_path: Path) -> None:
    # A limit on the size of files is a disk that is full at that size, for this process.
    with live_service(tmp_path, prefix=["prlimit", "--fsize=4000000"]) as service:
        before = service.files()
        answer = service.http.post("/v1/models?name=m.onnx", content=os.urandom(5_000_000))
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
        assert answer.json()["retryable"] is True
        assert service.files() == before
        assert service.http.post("/v1/models?name=m.onnx", content=os.urandom(1000)).status_code == 201


def test_memory_stays_flat_while_a_large_file_comes_in_and_goes_out(tmp_path: Path) -> None:
    piece = os.urandom(1 << 20)
    with live_service(tmp_path) as service:
        service.upload("warm.onnx", piece)
        before = service.peak_bytes()
        answer = service.http.post("/v1/models?name=m.onnx", content=(piece for _ in range(128)))
        assert answer.json()["size_bytes"] == 128 << 20
        with service.http.stream("GET", f"/v1/models/{answer.json()['id']}/content") as stream:
            assert sum(len(chunk) for chunk in stream.iter_raw()) == 128 << 20
        assert service.peak_bytes() - before < 24 << 20


def test_prefer_wait_ends_with_the_inspection(service: LiveService) -> None:
    id_ = service.upload("m.onnx", os.urandom(12))["id"]
    threading.Timer(0.3, lambda: service.change(ModelRecord, id_, state="rejected", finding=_finding())).start()
    started = time.monotonic()
    answer = service.http.get(f"/v1/models/{id_}", headers={"Prefer": "wait=20"})
    assert answer.json()["state"] == "rejected"
    assert 0.2 < time.monotonic() - started < 5


def test_prefer_wait_ends_when_time_is_up(small: LiveService) -> None:
    started = time.monotonic()
    answer = small.http.post("/v1/models?name=m.onnx", content=os.urandom(5), headers={"Prefer": "wait=500"})
    assert (answer.status_code, answer.json()["state"]) == (201, "inspecting")
    assert 0.25 < time.monotonic() - started < 5


def test_the_service_answers_others_while_some_wait(service: LiveService) -> None:
    id_ = service.upload("m.onnx", os.urandom(12))["id"]
    with _clients(service, 60) as clients, ThreadPoolExecutor(60) as pool:
        waits = [pool.submit(each.get, f"/v1/models/{id_}", headers={"Prefer": "wait=2"}) for each in clients]
        time.sleep(0.5)
        started = time.monotonic()
        assert service.http.get("/v1/models").status_code == 200
        assert time.monotonic() - started < 0.7
        assert {wait.result().status_code for wait in waits} == {200}


def _finding() -> dict[str, str]:
    return {"code": "not_a_model", "detail": "It is no model.", "hint": "", "fault": "user"}


@contextmanager
def _clients(service: LiveService, count: int) -> Iterator[list[httpx.Client]]:
    with ExitStack() as stack:
        yield [stack.enter_context(httpx.Client(base_url=service.url, timeout=30)) for _ in range(count)]


def _connection(service: LiveService) -> socket.socket:
    where = urlsplit(service.url)
    return socket.create_connection((where.hostname, where.port), timeout=10)


def _head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *[f"{name}: {value}" for name, value in headers.items()]]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
