"""Files arrive whole or not at all, however often the connection breaks."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from enxuto.client import Client, DamagedDownload
from enxuto.errors import BadInput
from tests.support.scripted_server import Answer, Asked, as_json, scripted

CONTENT = b"".join(hashlib.sha256(bytes([n % 256, n // 256])).digest() for n in range(9_375))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def model(state: str = "ready", **more: object) -> dict[str, object]:
    return {
        "id": "mdl_1", "name": "lean.onnx", "sha256": SHA256, "size_bytes": len(CONTENT), "state": state,
        "created_at": "2026-11-21T10:00:00Z", **more,
    }  # fmt: skip


def serve_range(asked: Asked, content: bytes = CONTENT, drop_after: int | None = None) -> Answer:
    start = int(asked.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    return Answer(206 if start else 200, content[start:], {"ETag": f'"{SHA256}"'}, drop_after)


def test_a_download_goes_on_where_the_connection_broke(tmp_path: Path) -> None:
    drops = iter([100_000, 120_000, None])

    def answer(asked: Asked) -> Answer:
        return serve_range(asked, drop_after=next(drops)) if asked.path.endswith("/content") else as_json(model())

    with scripted(answer) as server, Client(server.url) as client:
        path = client.download("mdl_1", tmp_path)
        ranges = [one.headers.get("range") for one in server.asked if one.path.endswith("/content")]
    assert path == tmp_path / "lean.onnx"
    assert path.read_bytes() == CONTENT
    assert ranges == [None, "bytes=100000-", "bytes=220000-"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_download_takes_up_what_an_earlier_program_left(tmp_path: Path) -> None:
    target = tmp_path / "a.onnx"
    (tmp_path / f".a.onnx.{SHA256[:16]}.partial").write_bytes(CONTENT[:250_000])
    with (
        scripted(lambda asked: serve_range(asked) if asked.path.endswith("content") else as_json(model())) as server,
        Client(server.url) as client,
    ):
        client.download("mdl_1", target)
        asked = server.asked[-1].headers
    assert (asked["range"], asked["if-range"]) == ("bytes=250000-", f'"{SHA256}"')
    assert target.read_bytes() == CONTENT


def test_a_server_that_knows_no_ranges_sends_everything_again(tmp_path: Path) -> None:
    (tmp_path / f".a.onnx.{SHA256[:16]}.partial").write_bytes(b"old")
    with (
        scripted(lambda asked: Answer(200, CONTENT) if asked.path.endswith("content") else as_json(model())) as server,
        Client(server.url) as client,
    ):
        assert client.download("mdl_1", tmp_path / "a.onnx").read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"!", CONTENT[:1000]], ids=["changed", "cut short"])
def test_bytes_that_are_not_those_promised_never_show(tmp_path: Path, content: bytes) -> None:
    target = tmp_path / "a.onnx"
    target.write_bytes(b"what was there before")
    with (
        scripted(lambda asked: Answer(200, content) if asked.path.endswith("content") else as_json(model())) as server,
        Client(server.url) as client,
        pytest.raises(DamagedDownload),
    ):
        client.download("mdl_1", target)
    assert target.read_bytes() == b"what was there before"
    assert list(tmp_path.iterdir()) == [target]


def test_an_upload_carries_its_digest_and_is_sent_again_whole(tmp_path: Path) -> None:
    path = tmp_path / "näme.onnx"
    path.write_bytes(CONTENT)
    answers = iter([None, as_json(model("inspecting"), 201), as_json(model(inspection={"format": "onnx"}))])
    with scripted(lambda asked: next(answers)) as server, Client(server.url) as client:
        assert client.upload_model(path).state == "ready"
        first, second, look = server.asked
    assert first.path == second.path == "/v1/models?name=n%C3%A4me.onnx"
    assert second.body == CONTENT
    digest = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    assert second.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert look.path == "/v1/models/mdl_1"
    assert look.headers["prefer"].startswith("wait=")


def test_a_rejected_file_is_an_error_with_the_servers_finding(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(CONTENT)
    finding = {"code": "not_a_model", "detail": "It is no ONNX file.", "hint": "Export it.", "fault": "user"}
    with (
        scripted(lambda asked: as_json(model("rejected", finding=finding), 201)) as server,
        Client(server.url) as client,
        pytest.raises(BadInput, match="no ONNX file") as caught,
    ):
        client.upload_model(path)
    assert (caught.value.code, caught.value.hint) == ("not_a_model", "Export it.")


def test_a_file_that_is_not_there_is_named() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(BadInput, match=r"no file 'nowhere\.onnx'"):
        client.upload_model("nowhere.onnx")
