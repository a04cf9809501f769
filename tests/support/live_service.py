"""The API as a real process on a free port, with its data in a folder, and a hand on its database."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.core.blobs import Blobs
from app.core.database import make_engine, sessions, utc_now
from app.core.records import DatasetRecord, JobRecord, ModelRecord
from app.core.settings import Settings
from tests.support.database import fresh_database
from tests.support.inspections import DATASET, MODEL


@dataclass(frozen=True)
class LiveService:
    url: str
    process: subprocess.Popen[bytes]
    settings: Settings
    http: httpx.Client
    log: Path

    def upload(self, name: str, data: bytes, collection: str = "models") -> dict[str, Any]:
        answer = self.http.post(f"/v1/{collection}", params={"name": name}, content=data)
        assert answer.status_code in (200, 201), answer.text
        body: dict[str, Any] = answer.json()
        return body

    def ready_model(self, data: bytes = b"", **inspection: object) -> str:
        """A model that a worker would have found to be in order."""
        id_ = self.upload("model.onnx", data or os.urandom(16))["id"]
        self.change(ModelRecord, id_, state="ready", inspection={**MODEL, **inspection})
        return str(id_)

    def ready_dataset(self, data: bytes = b"", **inspection: object) -> str:
        id_ = self.upload("data.npz", data or os.urandom(16), "datasets")["id"]
        document = {**DATASET, **inspection}
        arrays = {spec["file"]: "a" * 64 for spec in [*document["arrays"], document["labels"]] if spec}
        self.change(DatasetRecord, id_, state="ready", inspection=document, arrays=arrays)
        return str(id_)

    def change(self, record: type[ModelRecord | DatasetRecord | JobRecord], id_: str, **values: object) -> None:
        """Write to a row behind the service's back, as a worker does."""
        engine = make_engine(self.settings)
        with sessions(engine).begin() as session:
            row = session.get_one(record, id_)
            for name, value in values.items():
                setattr(row, name, value)
        engine.dispose()

    def end_job(self, id_: str, **values: object) -> None:
        self.change(JobRecord, id_, **{"state": "succeeded", "finished_at": utc_now(), "fraction": 1.0, **values})

    def blobs(self) -> Blobs:
        return Blobs(self.settings)

    def files(self) -> set[str]:
        """Names of all blobs, finished or not."""
        folder = self.settings.data_dir / "blobs"
        return {path.name for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}

    def holds(self, data: bytes) -> bool:
        return hashlib.sha256(data).hexdigest() in self.files()

    def peak_bytes(self) -> int:
        """Highest resident set of the process so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024


@contextmanager
def live_service(folder: Path, *, prefix: list[str] | None = None, **settings: object) -> Iterator[LiveService]:
    """Starts ``python -m app`` and stops it again. Settings are given by their names without the prefix."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        _database(folder / "data", settings.pop("database_url", None)) as where,
        _process(folder, prefix or [], {**settings, **where}) as (process, url),
        httpx.Client(base_url=url, timeout=30.0) as http,
    ):
        _wait_until_ready(process, http, folder / "log")
        yield LiveService(url, process, Settings(**where), http, folder / "log")


@contextmanager
def _database(data_dir: Path, url: object) -> Iterator[dict[str, Any]]:
    """Where the service keeps its data: in a database of its own, unless one is given."""
    if url is not None:
        yield {"data_dir": data_dir, "database_url": url}
        return
    with fresh_database(data_dir) as settings:
        yield settings.model_dump(include={"data_dir", "database_url"}, exclude_none=True)


@contextmanager
def _process(
    folder: Path, prefix: list[str], settings: dict[str, object]
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        given = {"listen_fd": listener.fileno(), **settings}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ENXUTO_")}
        environment |= {f"ENXUTO_{name.upper()}": str(value) for name, value in given.items()}
        command = [*prefix, sys.executable, "-m", "app"]
        with (folder / "log").open("wb") as output:
            process = subprocess.Popen(command, env=environment, pass_fds=[listener.fileno()], stderr=output)
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait_until_ready(process: subprocess.Popen[bytes], http: httpx.Client, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            http.get("/livez").raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise AssertionError(f"the service did not start: {log.read_text()}")
