"""Models made of uploads: which files they may be of, under which paths; and those files on their way out."""

from __future__ import annotations

import hashlib
import os

import httpx
import pytest

from app.core.database import utc_now
from app.core.records import ModelRecord
from tests.app.test_resumable_uploads import TUS, begin, change, other_tenant, problem, send
from tests.support.live_service import LiveService

Files = list[dict[str, str]]


def uploaded(http: httpx.Client, data: bytes) -> str:
    place = begin(http, len(data))
    if data:
        assert send(http, place, data, 0).status_code == 204
    return place.rpartition("/")[2]


def made(http: httpx.Client, name: str, files: dict[str, bytes]) -> httpx.Response:
    return post(http, name, [{"path": path, "upload": uploaded(http, data)} for path, data in files.items()])


def post(http: httpx.Client, name: str, files: Files) -> httpx.Response:
    return http.post("/v1/models", json={"name": name, "files": files})


def test_a_model_of_several_files_keeps_them_under_their_paths(service: LiveService) -> None:
    http, model, weights = service.http, os.urandom(500), os.urandom(70_000)
    answer = made(http, "m.onnx", {"model.onnx": model, "parts/weights.bin": weights})
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["name"], body["state"]) == ("m.onnx", "inspecting")
    assert (body["sha256"], body["size_bytes"]) == (hashlib.sha256(model).hexdigest(), 500)
    assert body["files"] == [
        {"path": "parts/weights.bin", "sha256": hashlib.sha256(weights).hexdigest(), "size_bytes": 70_000}
    ]
    place = f"/v1/models/{body['id']}"
    assert http.get(f"{place}/content").content == model
    part = http.get(f"{place}/files/parts/weights.bin", headers={"Range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, weights[1000:2000])
    whole = http.get(f"{place}/files/parts/weights.bin")
    assert whole.content == weights
    assert "weights.bin" in whole.headers["content-disposition"]
    assert whole.headers["repr-digest"].startswith("sha-256=:")
    assert problem(http.get(f"{place}/files/parts")) == (404, "not_found")
    assert problem(http.get(f"{place}/files/..%2F..%2Fenxuto.sqlite3")) == (404, "not_found")
    [job] = http.get("/v1/jobs", params={"model": body["id"]}).json()["items"]
    assert job["kind"] == "inspect"


def test_weights_may_be_empty_and_the_onnx_file_may_not(http: httpx.Client) -> None:
    model = made(http, "m.onnx", {"m.onnx": os.urandom(20), "none.bin": b""})
    assert model.status_code == 201, model.text
    empty = http.get(f"/v1/models/{model.json()['id']}/files/none.bin")
    assert (empty.status_code, empty.content) == (200, b"")
    refused = made(http, "m.onnx", {"m.onnx": b"", "w.bin": b"weights"})
    assert problem(refused) == (422, "upload_empty")
    assert refused.json()["errors"][0]["pointer"] == "/files/0/upload"


def test_the_same_files_are_taken_once(http: httpx.Client) -> None:
    files = {"model.onnx": os.urandom(50), "weights.bin": os.urandom(60)}
    first, second = made(http, "m.onnx", files), made(http, "other.onnx", dict(reversed(files.items())))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    moved = {"model.onnx": files["model.onnx"], "elsewhere.bin": files["weights.bin"]}
    assert made(http, "m.onnx", moved).status_code == 201


def test_one_upload_is_the_same_model_as_the_file_itself(http: httpx.Client) -> None:
    data = os.urandom(90)
    first = made(http, "m.onnx", {"m.onnx": data})
    assert (first.status_code, first.json()["files"]) == (201, [])
    assert http.post("/v1/models?name=m.onnx", content=data).status_code == 200


def test_the_onnx_file_is_told_by_the_models_name_or_its_own_ending(http: httpx.Client) -> None:
    files = {"a.onnx": os.urandom(20), "b.onnx": os.urandom(30), "c": os.urandom(40)}
    assert problem(made(http, "m.onnx", files)) == (422, "model_file_unclear")
    named = made(http, "b.onnx", files).json()
    assert named["sha256"] == hashlib.sha256(files["b.onnx"]).hexdigest()
    assert [file["path"] for file in named["files"]] == ["a.onnx", "c"]
    assert problem(made(http, "m.onnx", {"a": b"1", "b": b"2"})) == (422, "model_file_unclear")


@pytest.mark.parametrize(
    "path",
    [
        "../w.bin",
        "a/../w.bin",
        "a/..",
        "..",
        ".",
        "./w.bin",
        "a//w.bin",
        "a/",
        "/etc/passwd",
        "a\\b",
        "a\0b",
        "a\nb",
        "",
    ],
)
def test_a_path_that_is_none_below_the_models_folder_is_refused(service: LiveService, path: str) -> None:
    answer = made(service.http, "m.onnx", {"m.onnx": b"model", path: b"weights"})
    assert answer.status_code == 422
    assert answer.json()["code"] in ("file_path_invalid", "invalid_body")
    assert answer.json()["errors"][0]["pointer"] == "/files/1/path"


def test_two_files_of_one_path_are_refused(http: httpx.Client) -> None:
    files = [{"path": path, "upload": uploaded(http, os.urandom(9))} for path in ("m.onnx", "w", "w")]
    assert problem(post(http, "m.onnx", files)) == (422, "file_path_repeated")


def test_the_onnx_file_lies_in_no_folder(http: httpx.Client) -> None:
    answer = made(http, "m.onnx", {"onnx/model.onnx": b"model", "onnx/w.bin": b"weights"})
    assert problem(answer) == (422, "file_path_invalid")


def test_uploads_that_are_not_whole_not_there_or_anothers_are_refused(service: LiveService) -> None:
    http, whole = service.http, uploaded(service.http, os.urandom(30))
    half = begin(http, 10)
    send(http, half, b"12345", 0)
    foreign, expired = uploaded(http, os.urandom(31)), uploaded(http, os.urandom(32))
    change(service.settings, foreign, tenant=other_tenant(service.settings))
    change(service.settings, expired, expires_at=utc_now())
    deleted = uploaded(http, os.urandom(33))
    http.delete(f"/v1/uploads/{deleted}", headers=TUS)
    expected = {
        half.rpartition("/")[2]: (409, "upload_not_whole"),
        foreign: (404, "not_found"),
        expired: (404, "not_found"),
        deleted: (404, "not_found"),
    }
    for upload, refusal in expected.items():
        files = [{"path": "m.onnx", "upload": whole}, {"path": "w", "upload": upload}]
        answer = post(http, "m.onnx", files)
        assert problem(answer) == refusal
        assert answer.json()["errors"][0]["pointer"] == "/files/1/upload"


def test_a_model_stays_when_its_uploads_are_deleted(service: LiveService) -> None:
    http, files = service.http, {"m.onnx": os.urandom(41), "w": os.urandom(42)}
    uploads = {path: uploaded(http, data) for path, data in files.items()}
    model = post(http, "m.onnx", [{"path": path, "upload": upload} for path, upload in uploads.items()]).json()
    for upload in uploads.values():
        assert http.delete(f"/v1/uploads/{upload}", headers=TUS).status_code == 204
    assert http.get(f"/v1/models/{model['id']}/files/w").content == files["w"]


def test_files_of_another_tenants_model_are_as_if_there_were_none(service: LiveService) -> None:
    model = made(service.http, "m.onnx", {"m.onnx": os.urandom(43), "w": os.urandom(44)}).json()["id"]
    service.change(ModelRecord, model, tenant=other_tenant(service.settings))
    assert problem(service.http.get(f"/v1/models/{model}/files/w")) == (404, "not_found")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "m.onnx"},
        {"name": "m.onnx", "files": []},
        {"name": "a/b.onnx", "files": [{"path": "m", "upload": 1}]},
    ],
)
def test_a_body_that_is_no_model_is_refused(http: httpx.Client, body: object) -> None:
    assert problem(http.post("/v1/models", json=body)) == (422, "invalid_body")


def test_the_name_is_given_once(http: httpx.Client) -> None:
    files = [{"path": "m.onnx", "upload": uploaded(http, b"model")}]
    answer = http.post("/v1/models?name=m.onnx", json={"name": "m.onnx", "files": files})
    assert problem(answer) == (422, "invalid_parameters")
