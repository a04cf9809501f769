"""Models of several files on their way to a real server and back, over connections that break."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import onnx
import pytest

from enxuto.client import Client, DamagedUpload, NotUnderstood, resumable
from enxuto.client.transport import Transport
from enxuto.errors import BadInput
from tests.support.live_service import LiveService, live_service
from tests.support.scripted_server import Answer, Asked, as_json, scripted
from tests.support.tiny_models import mlp

PIECE = 50_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with live_service(tmp_path_factory.mktemp("service"), upload_idle_s=2) as service:
        yield service


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "_PIECE_BYTES", PIECE)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two files: what is no weights is not looked at before it is inspected."""
    path = tmp_path / "given" / "m.onnx"
    (path.parent / "w").mkdir(parents=True)
    onnx.save(mlp(), path, save_as_external_data=True, location="w/weights.bin", size_threshold=0)
    with (path.parent / "w/weights.bin").open("ab") as file:
        file.write(os.urandom(10 * PIECE))
    return path


@contextmanager
def transport(url: str) -> Iterator[Transport]:
    opened = Transport(url, None, 30.0)
    try:
        yield opened
    finally:
        opened.close()


class Cutting:
    """A way to the server on which each connection is cut after so many bytes."""

    def __init__(self, to: str, after_bytes: int) -> None:
        where = urlsplit(to)
        self._to = (where.hostname or "", where.port or 0)
        self._after = after_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.carried = 0
        self.cuts = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(self._to)
                threading.Thread(target=self._carry, args=(there, here, None), daemon=True).start()
                threading.Thread(target=self._carry, args=(here, there, self._after), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, most: int | None) -> None:
        with suppress(OSError):
            left = most
            while data := source.recv(4096):
                target.sendall(data)
                if left is not None:
                    self.carried += len(data)
                    left -= len(data)
                    if left <= 0:
                        self.cuts += 1
                        break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self._listener.close()


def test_a_model_goes_with_the_files_of_its_weights(service: LiveService, model: Path) -> None:
    with transport(service.url) as way:
        sent = resumable.upload_model(way, model, ["w/weights.bin"], wait_s=0).json()
    assert [file["path"] for file in sent["files"]] == ["w/weights.bin"]
    assert service.holds(model.read_bytes())
    assert service.holds((model.parent / "w/weights.bin").read_bytes())


def test_connections_that_break_cost_no_more_than_a_piece(service: LiveService, model: Path) -> None:
    cutting, size = Cutting(service.url, int(2.5 * PIECE)), (model.parent / "w/weights.bin").stat().st_size
    with transport(cutting.url) as way:
        sent = resumable.upload_model(way, model, ["w/weights.bin"], wait_s=0).json()
    cutting.close()
    assert sent["files"][0]["size_bytes"] == size
    assert cutting.cuts >= 3
    assert cutting.carried < size + (cutting.cuts + 1) * 1.2 * PIECE


def test_another_process_goes_on_where_one_ended(
    service: LiveService, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model.parent / "w/weights.bin"
    digest, real, pieces = hashlib.sha256(path.read_bytes()).hexdigest(), resumable._send_piece, list[int]()

    def interrupted(*given: object) -> int:
        pieces.append(1)
        if len(pieces) == 4:
            raise KeyboardInterrupt
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(resumable, "_send_piece", interrupted)
    with transport(service.url) as way, pytest.raises(KeyboardInterrupt):
        resumable.send(way, path, digest, resumable.begun(way))
    pieces.clear()
    monkeypatch.setattr(resumable, "_send_piece", lambda *given: pieces.append(1) or real(*given))
    with transport(service.url) as way:
        upload = resumable.send(way, path, digest, resumable.begun(way))
        assert len(pieces) == -(-path.stat().st_size // PIECE) - 3
        assert resumable.send(way, path, digest, resumable.begun(way)) == upload, "what is there is not sent again"
    assert service.http.get(f"/v1/uploads/{upload}").json()["sha256"] == digest


def test_what_is_there_is_found_behind_any_number_of_later_uploads(
    service: LiveService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable, "_PAGE", 2)
    (tmp_path / "m.onnx").write_bytes(os.urandom(9))
    names = [f"part-{number}" for number in range(5)]
    for name in names:
        (tmp_path / name).write_bytes(os.urandom(9))
    (tmp_path / "twin").write_bytes((tmp_path / names[0]).read_bytes())
    sent, real = list[int](), resumable._send_piece
    monkeypatch.setattr(resumable, "_send_piece", lambda *given: sent.append(1) or real(*given))
    with transport(service.url) as way:
        first = resumable.upload_model(way, tmp_path / "m.onnx", [*names, "twin"], wait_s=0)
        assert len(sent) == 1 + len(names)
        assert resumable.upload_model(way, tmp_path / "m.onnx", [*names, "twin"], wait_s=0).json() == first.json()
    assert len(sent) == 1 + len(names), "nothing was sent again"


def test_a_file_that_changed_while_it_was_sent_is_told(
    service: LiveService, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        resumable, "sha256", lambda path: hashlib.sha256(path.name.encode() + os.urandom(9)).hexdigest()
    )
    with transport(service.url) as way, pytest.raises(DamagedUpload, match=r"other bytes of m\.onnx"):
        resumable.upload_model(way, model, ["w/weights.bin"], wait_s=0)


def test_an_upload_of_other_bytes_is_not_taken_for_the_file_that_it_says_it_is(
    service: LiveService, tmp_path: Path
) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(os.urandom(PIECE))
    digest, good = hashlib.sha256(path.read_bytes()).hexdigest(), path.read_bytes()
    path.write_bytes(os.urandom(PIECE))  # it changes after it was hashed, and back
    with transport(service.url) as way:
        damaged = resumable.send(way, path, digest, resumable.begun(way))
        path.write_bytes(good)
        upload = resumable.send(way, path, digest, resumable.begun(way))
    assert upload != damaged
    assert service.http.get(f"/v1/uploads/{upload}").json()["sha256"] == digest


def test_a_model_given_by_a_link_goes_with_the_weights_beside_the_file_that_it_leads_to(
    service: LiveService, model: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link.onnx"
    link.symlink_to(model)
    with Client(service.url) as client:
        sent = client._send("models", link, wait_s=0).json()
    assert [file["path"] for file in sent["files"]] == ["w/weights.bin"]
    assert sent["name"] == "link.onnx"


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "loop"])
def test_a_name_that_no_file_can_have_is_told(service: LiveService, model: Path, name: str) -> None:
    (model.parent / "loop").symlink_to("loop")
    with transport(service.url) as way, pytest.raises(BadInput, match="no such file beside it"):
        resumable.upload_model(way, model, [name], wait_s=0)


def test_a_missing_file_and_a_link_out_of_the_folder_are_told_before_anything_is_sent(
    service: LiveService, model: Path, tmp_path: Path
) -> None:
    weights = model.parent / "w/weights.bin"
    weights.rename(tmp_path / "outside.bin")
    with Client(service.url) as client, pytest.raises(BadInput, match="no such file beside it"):
        client.upload_model(model)
    weights.symlink_to(tmp_path / "outside.bin")
    with Client(service.url) as client, pytest.raises(BadInput, match="not below its own folder"):
        client.upload_model(model)


def test_a_model_comes_home_with_the_files_beside_it(service: LiveService, model: Path, tmp_path: Path) -> None:
    (model.parent / "w/none.bin").touch()
    with transport(service.url) as way:
        sent = resumable.upload_model(way, model, ["w/weights.bin", "w/none.bin"], wait_s=0).json()
    with Client(service.url) as client:
        client.download(sent["id"], tmp_path / "home" / "copy.onnx")
    assert (tmp_path / "home/copy.onnx").read_bytes() == model.read_bytes()
    assert (tmp_path / "home/w/weights.bin").read_bytes() == (model.parent / "w/weights.bin").read_bytes()
    assert (tmp_path / "home/w/none.bin").read_bytes() == b""


def test_a_model_does_not_take_the_place_of_its_weights(service: LiveService, model: Path, tmp_path: Path) -> None:
    (model.parent / "w/weights.bin").rename(model.with_name("weights.bin"))
    with transport(service.url) as way:
        sent = resumable.upload_model(way, model, ["weights.bin"], wait_s=0).json()
    with Client(service.url) as client, pytest.raises(BadInput, match="cannot have that name itself"):
        client.download(sent["id"], tmp_path / "home" / "weights.bin")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("path", ["../w.bin", "/etc/w.bin", "a/../../w.bin", "a\\w.bin", ""])
def test_a_server_cannot_write_outside_of_the_folder(tmp_path: Path, path: str) -> None:
    data = b"weights"
    digest = hashlib.sha256(data).hexdigest()
    file = {"path": path, "sha256": digest, "size_bytes": len(data)}
    resource = {"id": "mdl_1", "name": "m.onnx", "sha256": digest, "size_bytes": len(data), "state": "ready"}
    resource |= {"created_at": "2026-01-01T00:00:00Z", "files": [file]}  # type: ignore[dict-item]

    def answer(asked: Asked) -> Answer:
        return as_json(resource) if asked.path == "/v1/models/mdl_1" else Answer(body=data)

    home = tmp_path / "home"
    home.mkdir()
    with scripted(answer) as server, Client(server.url) as client, pytest.raises(NotUnderstood):
        client.download("mdl_1", home)
    assert [one.name for one in tmp_path.iterdir()] == ["home"]
    assert list(home.iterdir()) == []


def test_a_large_model_of_one_file_goes_over_several_requests(
    service: LiveService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("enxuto.client.client._LARGE_BYTES", 1000)
    (tmp_path / "m.onnx").write_bytes(os.urandom(3 * PIECE))
    with Client(service.url) as client:
        sent = client._send("models", tmp_path / "m.onnx", wait_s=0)
    assert sent.json()["files"] == []
    assert sent.json()["id"].startswith("mdl_")
    assert service.holds((tmp_path / "m.onnx").read_bytes())
    assert isinstance(sent, httpx.Response)
