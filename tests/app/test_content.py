"""What went in comes out again: whole, in ranges, under its digest, as a file with its name."""

from __future__ import annotations

import base64
import hashlib
import os

import httpx
import pytest

from tests.support.live_service import LiveService

DATA = os.urandom(1000)


@pytest.fixture(scope="module")
def place(service: LiveService) -> str:
    model = service.upload('modèle "1".onnx', DATA)
    return f"/v1/models/{model['id']}/content"


def test_a_download_says_what_it_is(http: httpx.Client, place: str) -> None:
    answer = http.get(place)
    digest = hashlib.sha256(DATA)
    assert answer.content == DATA
    assert answer.headers["etag"] == f'"{digest.hexdigest()}"'
    assert answer.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert answer.headers["content-length"] == "1000"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"mod_le _1_.onnx\"; filename*=UTF-8''mod%C3%A8le%20%221%22.onnx"
    )


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=990-", 990, 1000),
        ("bytes=-10", 990, 1000),
        ("bytes=-5000", 0, 1000),
        ("bytes=0-", 0, 1000),
        ("bytes=900-5000", 900, 1000),
    ],
)
def test_a_range_comes_alone(http: httpx.Client, place: str, asked: str, start: int, stop: int) -> None:
    answer = http.get(place, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == DATA[start:stop]
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/1000"
    assert answer.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize("asked", ["bytes=1000-", "bytes=1000-1001", "bytes=-0", "bytes=999999999999-"])
def test_a_range_outside_is_refused_with_the_size(http: httpx.Client, place: str, asked: str) -> None:
    answer = http.get(place, headers={"Range": asked})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == "bytes */1000"


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "lines=0-1", "bytes=5-2", "bytes=-", "bytes", f"bytes=0-{'9' * 5000}", "bytes=a-b"]
)
def test_what_is_no_single_range_is_answered_with_everything(http: httpx.Client, place: str, asked: str) -> None:
    answer = http.get(place, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, DATA)


def test_a_range_of_another_version_is_answered_with_everything(http: httpx.Client, place: str) -> None:
    tag = http.get(place).headers["etag"]
    assert http.get(place, headers={"Range": "bytes=0-1", "If-Range": tag}).status_code == 206
    assert http.get(place, headers={"Range": "bytes=0-1", "If-Range": '"another"'}).content == DATA


@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', "*"])
def test_who_has_it_already_gets_nothing(http: httpx.Client, place: str, form: str) -> None:
    tag = http.get(place).headers["etag"]
    answer = http.get(place, headers={"If-None-Match": form.format(tag)})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == tag


def test_a_download_can_be_put_together_from_ranges(http: httpx.Client, place: str) -> None:
    pieces = [http.get(place, headers={"Range": f"bytes={at}-{at + 332}"}).content for at in range(0, 1000, 333)]
    assert b"".join(pieces) == DATA


def test_bytes_that_the_store_has_lost_are_a_fault_of_the_service(service: LiveService) -> None:
    data = os.urandom(10)
    model = service.upload("m.onnx", data)
    service.blobs().delete(model["sha256"])
    answer = service.http.get(f"/v1/models/{model['id']}/content")
    assert (answer.status_code, answer.json()["code"]) == (500, "content_missing")


@pytest.mark.parametrize("asked", [{}, {"Range": "bytes=10-19"}])
def test_head_says_what_get_would_and_sends_nothing(http: httpx.Client, place: str, asked: dict[str, str]) -> None:
    whole, head = http.get(place, headers=asked), http.head(place, headers=asked)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    volatile = {"date", "x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in volatile} == {
        k: v for k, v in whole.headers.items() if k not in volatile
    }
