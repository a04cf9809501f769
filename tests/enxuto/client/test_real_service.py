"""The client against the real API, without workers: what is sent fits, what comes back is understood."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.records import ModelRecord
from enxuto.client import Client, NotAuthorized, NotFound, NotReady, RequestRefused
from enxuto.errors import BadInput, Finding
from tests.support.live_service import LiveService, live_service
from tests.support.tiny_models import mlp, save

KEY = "enx_" + "k" * 24


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with live_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def client(service: LiveService) -> Iterator[Client]:
    with Client(service.url) as connected:
        yield connected


def test_a_model_comes_back_as_it_was(service: LiveService, client: Client, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    model_id = service.ready_model(content)
    (tmp_path / "same.onnx").write_bytes(content)
    seen = client.upload_model(tmp_path / "same.onnx")
    assert (seen.id, seen.state, seen.size_bytes) == (model_id, "ready", len(content))
    path = client.download(model_id, tmp_path / "back.onnx")
    assert path.read_bytes() == content


def test_a_broken_download_goes_on_with_a_range(service: LiveService, client: Client, tmp_path: Path) -> None:
    content = os.urandom(2_000_000)
    model_id = service.ready_model(content)
    sha256 = client.model(model_id).sha256
    (tmp_path / f".back.onnx.{sha256[:16]}.partial").write_bytes(content[:1_234_567])
    assert client.download(model_id, tmp_path / "back.onnx").read_bytes() == content


def test_a_finding_of_the_inspection_reaches_the_caller(service: LiveService, client: Client, tmp_path: Path) -> None:
    path = save(mlp(seed=5), tmp_path / "m.onnx")
    id_ = service.upload("m.onnx", path.read_bytes())["id"]
    finding = Finding(code="not_a_model", detail="It is no model.", hint="Export it again.")
    service.change(ModelRecord, id_, state="rejected", finding=finding.model_dump())
    with pytest.raises(BadInput, match="no model") as caught:
        client.upload_model(path)
    assert caught.value.finding == finding


def test_jobs_are_made_listed_and_cancelled(service: LiveService, client: Client) -> None:
    jobs = [service.http.post("/v1/jobs", json={"kind": "optimize", "model": service.ready_model()}) for _ in range(3)]
    ids = [made.json()["id"] for made in jobs]
    listed = [job.id for job in client.jobs(state="queued", kind="optimize")]
    assert listed[:3] == ids[::-1]
    assert client.job(ids[0]).seen.phase == "queued"
    assert client.cancel(ids[0]).state == "cancelled"
    assert client.wait(ids[0]).ended
    with pytest.raises(NotReady, match="its report comes at the end"):
        client.report(ids[1])


def test_what_is_not_there_is_not_found(client: Client) -> None:
    for look in (client.job, client.model, client.dataset, client.report):
        with pytest.raises(NotFound) as caught:
            look("job_nothing")
        assert caught.value.hint


def test_what_the_service_refuses_names_the_place(service: LiveService, client: Client) -> None:
    with pytest.raises(RequestRefused) as caught:
        client.optimize(service.ready_model(), "dst_00000000000000000000000000")
    assert caught.value.status == 404
    assert "dst_00000000000000000000000000" in caught.value.detail


def test_the_catalogues_are_lists(client: Client) -> None:
    assert "static_int8" in [technique["kind"] for technique in client.techniques()]
    assert client.targets() == []


def test_a_key_is_asked_for_and_taken(tmp_path: Path) -> None:
    with live_service(tmp_path, operator_key=KEY) as service:
        with Client(service.url) as stranger, pytest.raises(NotAuthorized):
            list(stranger.jobs())
        with Client(service.url, KEY) as client:
            assert list(client.jobs()) == []
