"""The API as a process: light, healthy, and gone when told to."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from app.core.database import make_engine
from app.core.settings import Settings, get_settings
from tests.support.database import fresh_database
from tests.support.live_service import live_service

HEAVY = ("torch", "onnx", "onnx_ir", "onnxruntime", "onnxscript", "openvino", "numpy", "scipy", "ml_dtypes")


def test_the_api_imports_nothing_heavy() -> None:
    look = f"import sys, app.main, app.__main__; print([m for m in {HEAVY!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"


def test_serving_every_list_imports_nothing_heavy(tmp_path: Path) -> None:
    with live_service(tmp_path) as service:
        for path in ("/v1/models", "/v1/techniques", "/v1/targets", "/v1/jobs", "/openapi.json", "/docs"):
            service.http.get(path).raise_for_status()
        maps = Path(f"/proc/{service.process.pid}/maps").read_text(encoding="utf-8")
    assert not [name for name in HEAVY if f"/site-packages/{name}/" in maps]


def test_a_service_with_all_its_parts_is_ready(tmp_path: Path) -> None:
    with live_service(tmp_path) as service:
        answer = service.http.get("/readyz")
        assert answer.status_code == 200
        assert {part["name"]: part["ok"] for part in answer.json()["parts"]} == {"database": True, "blobs": True}


def test_a_service_without_its_redis_says_which_part_is_gone_and_still_takes_work(tmp_path: Path) -> None:
    with live_service(tmp_path, redis_url="redis://127.0.0.1:1/0") as service:
        answer = service.http.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_all_parts_answer")
        assert [error["parameter"] for error in answer.json()["errors"]] == ["redis"]
        assert service.http.get("/livez").status_code == 200
        started = time.monotonic()
        assert service.upload("m.onnx", b"while the bell is gone")["state"] == "inspecting"
        assert time.monotonic() - started < 3


def test_a_service_that_lost_its_database_and_blobs_says_so(tmp_path: Path) -> None:
    with live_service(tmp_path) as service:
        with make_engine(service.settings).begin() as database:
            database.execute(text("ALTER TABLE tenants RENAME TO forgotten"))
        shutil.rmtree(service.settings.data_dir / "blobs")
        answer = service.http.get("/readyz")
        assert answer.status_code == 503
        assert [error["parameter"] for error in answer.json()["errors"]] == ["database", "blobs"]


def test_it_stops_cleanly_and_lets_those_who_wait_go(tmp_path: Path) -> None:
    with live_service(tmp_path) as service:
        model = service.upload("m.onnx", b"waits")["id"]
        answers: list[httpx.Response] = []

        def wait() -> None:
            answers.append(httpx.get(f"{service.url}/v1/models/{model}", headers={"Prefer": "wait=50"}, timeout=60))

        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.5)
        started = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(10) == 0
        waiting.join()
        assert time.monotonic() - started < 5
        assert answers[0].json()["state"] == "inspecting"
        assert "Traceback" not in service.log.read_text()


def test_it_takes_up_its_data_again(tmp_path: Path) -> None:
    with fresh_database(tmp_path / "data") as kept:
        with live_service(tmp_path, database_url=kept.database_url) as first:
            model = first.upload("m.onnx", b"kept")
        with live_service(tmp_path, database_url=kept.database_url) as second:
            assert second.http.get(f"/v1/models/{model['id']}").json() == model
            assert second.http.get(f"/v1/models/{model['id']}/content").content == b"kept"


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENXUTO_PORT", "1234")
    monkeypatch.setenv("ENXUTO_REDIS_URL", "")
    get_settings.cache_clear()
    assert (get_settings().port, get_settings().redis_url) == (1234, None)
    get_settings.cache_clear()
    assert Settings(port=5).port == 5
