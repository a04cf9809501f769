"""What a client does when a server stumbles."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from enxuto.client import Client, NotAuthorized, NotFound, NotReady, NotUnderstood, RequestRefused, ServerBroken
from enxuto.client.errors import Problem, ServerBusy, Unreachable
from enxuto.errors import BadInput
from tests.support.scripted_server import Answer, Asked, as_json, scripted

JOB = {"id": "job_1", "kind": "optimize", "state": "running", "created_at": "2026-11-21T10:00:00Z", "more": [1]}
BUSY = as_json({"code": "database_unavailable", "detail": "Not now."}, 503, **{"Retry-After": "0"})


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_question_is_asked_again_after_a_dropped_connection_and_after_a_busy_answer() -> None:
    answers = iter([None, BUSY, as_json(JOB)])
    with scripted(lambda asked: next(answers)) as server, Client(server.url) as client:
        assert client.job("job_1").state == "running"
        assert server.paths() == ["GET /v1/jobs/job_1"] * 3


def test_a_job_that_may_have_been_made_is_not_asked_for_twice() -> None:
    with scripted(lambda asked: None) as server, Client(server.url) as client:
        with pytest.raises(Unreachable):
            client.cancel("job_1")
        assert server.paths() == ["POST /v1/jobs/job_1/cancel"]


def test_a_server_that_starts_a_moment_later_is_found() -> None:
    port = closed_port()

    def start_late() -> None:
        time.sleep(0.5)
        with socket.create_server(("127.0.0.1", port)) as server:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\n{"items":[],"next_cursor":null}')
            connection.close()

    late = threading.Thread(target=start_late)
    late.start()
    with Client(f"http://127.0.0.1:{port}") as client:
        assert list(client.jobs()) == []
    late.join()


def test_where_nobody_answers_the_error_says_what_to_do() -> None:
    with Client(f"http://127.0.0.1:{closed_port()}") as client, pytest.raises(Unreachable) as caught:
        client.job("job_1")
    assert caught.value.code == "server_unreachable"
    assert "enxuto up" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "kind", "fault"),
    [
        (401, NotAuthorized, "user"),
        (404, NotFound, "user"),
        (409, NotReady, "user"),
        (422, RequestRefused, "user"),
        (500, ServerBroken, "internal"),
        (507, ServerBusy, "capacity"),
    ],
)
def test_a_problem_becomes_an_exception_of_its_kind(status: int, kind: type[Problem], fault: str) -> None:
    problem = {
        "type": "/problems/some_code", "title": "T", "status": status, "detail": "This was wrong.", "code": "some_code",
        "hint": "Do that.", "instance": "urn:enxuto:request:1", "retryable": False, "new_member": 1,
        "errors": [{"pointer": "/goal/p95_ms", "code": "greater_than", "detail": "must be above 0"}],
    }  # fmt: skip
    with (
        scripted(lambda asked: as_json(problem, status)) as server,
        Client(server.url) as client,
        pytest.raises(kind) as caught,
    ):
        client.job("job_1")
    finding = caught.value.finding
    assert (finding.code, finding.hint, finding.fault) == ("some_code", "Do that.", fault)
    assert finding.detail == "This was wrong. (/goal/p95_ms: must be above 0)"


def test_a_proxys_refusal_is_shown_as_it_came() -> None:
    page = Answer(418, b"<html><h1>I am a teapot</h1></html>")
    with (
        scripted(lambda asked: page) as server,
        Client(server.url) as client,
        pytest.raises(RequestRefused, match=r"418.*teapot"),
    ):
        client.job("job_1")


def test_a_page_for_people_is_no_answer() -> None:
    with (
        scripted(lambda asked: Answer(200, b"<html>welcome</html>")) as server,
        Client(server.url) as client,
        pytest.raises(NotUnderstood, match="not what an Enxuto server sends"),
    ):
        client.job("job_1")


def test_the_key_goes_along_and_an_id_cannot_leave_its_path() -> None:
    with scripted(lambda asked: as_json(JOB)) as server, Client(server.url, "enx_secret") as client:
        client.job("../keys?x=1#")
        assert server.asked[0].headers["authorization"] == "Bearer enx_secret"
        assert server.asked[0].path == "/v1/jobs/..%2Fkeys%3Fx%3D1%23"


def test_an_address_without_a_scheme_is_refused_at_once() -> None:
    with pytest.raises(BadInput, match="no address"):
        Client("localhost:8000")


def test_a_list_is_read_page_by_page() -> None:
    def answer(asked: Asked) -> Answer:
        if "cursor=abc" in asked.path:
            return as_json({"items": [{**JOB, "id": "job_2"}], "next_cursor": None})
        return as_json({"items": [JOB], "next_cursor": "abc"})

    with scripted(answer) as server, Client(server.url) as client:
        assert [job.id for job in client.jobs(state="running")] == ["job_1", "job_2"]
        assert all("state=running" in one.path for one in server.asked)


def test_what_a_newer_server_adds_is_kept() -> None:
    with scripted(lambda asked: as_json(JOB)) as server, Client(server.url) as client:
        assert client.job("job_1").document["more"] == [1]
