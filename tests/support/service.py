"""The whole service as a user starts it: ``enxuto up`` with all its processes, on a free port, in a fresh folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select

from app.core.database import make_engine, sessions
from app.core.records import EventRecord, JobRecord, StepRecord
from app.core.settings import Settings
from tests.support.processes import children_of, is_alive, state_of, wait_for

Json = dict[str, Any]
TERMINAL = ("succeeded", "failed", "cancelled")
PARTS = {"redis": "redis-server", "api": "-m app", "sweep": "-m workers.sweep", "worker": "-A workers.main"}
"""Words of each part's command line that no other part has."""


class Service:
    """Kept between starts: what it holds stays in its folder."""

    def __init__(self, folder: Path, *, workers: int = 1, **settings: object) -> None:
        self.data_dir = folder / "data"
        self.log = folder / "log"
        self.http = httpx.Client(timeout=30.0)
        self._workers = workers
        database = str(settings["database_url"]) if "database_url" in settings else None
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ENXUTO_")}
        self._environment = environment | {f"ENXUTO_{name.upper()}": str(value) for name, value in settings.items()}
        self._engine = make_engine(Settings(data_dir=self.data_dir, database_url=database))
        self._sessions = sessions(self._engine)

    def start(self) -> None:
        command = [sys.executable, "-c", "import sys; from enxuto.cli import main; sys.exit(main())", "up"]
        command += ["--port", "0", "--data-dir", str(self.data_dir), "--workers", str(self._workers)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE, stderr=log)
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        ready = re.search(r"http://\S+", line)
        assert ready, f"it did not start: {line}{self.log.read_text()}"
        self.url = ready.group()
        self.http.base_url = httpx.URL(self.url)

    def stop(self, within_s: float = 30) -> int:
        """As Ctrl-C does; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()
        self.http.close()
        self._engine.dispose()

    def pids(self, part: str) -> list[int]:
        """Processes of a part of ``PARTS`` that are alive."""
        words = PARTS[part]
        return [pid for pid in _children(self.process.pid) if is_alive(pid) and words in _command(pid)]

    def step_pids(self) -> list[int]:
        """Processes that run a step just now."""
        found = [child for worker in self.pids("worker") for child in _children(worker)]
        return [pid for pid in found if is_alive(pid)]

    def all_pids(self) -> list[int]:
        return [self.process.pid, *children_of(self.process.pid), *self.step_pids()]

    def put_to_sleep(self, pid: int) -> None:
        """Stop a process until SIGCONT, but not within a write: with SQLite's lock it would hold up everybody else."""
        with self._sessions() as session:
            session.connection()  # takes that lock, so that nobody else has it
            os.kill(pid, signal.SIGSTOP)
            wait_for(lambda: state_of(pid) == "T")

    def upload(self, name: str, data: bytes, collection: str = "models") -> Json:
        """Upload and wait until it was inspected."""
        answer = self.http.post(f"/v1/{collection}", params={"name": name}, content=data, headers={"Prefer": "wait=20"})
        answer.raise_for_status()
        return self.until(lambda: _json(self.http.get(f"/v1/{collection}/{answer.json()['id']}")), _inspected)

    def submit(self, **body: object) -> str:
        answer = self.http.post("/v1/jobs", json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def wait(self, job: str, timeout_s: float = 120) -> Json:
        """The job when it has ended, whatever happens to the API meanwhile."""
        return self.until(lambda: _json(self.http.get(f"/v1/jobs/{job}")), _ended, timeout_s)

    def until(self, look: Any, settled: Any, timeout_s: float = 60) -> Json:
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            try:
                if settled(seen := look()):
                    return dict(seen)
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"it did not settle: {self.log.read_text()[-6000:]}")

    def record(self, job: str) -> JobRecord:
        """The row, read past the API."""
        with self._sessions() as session:
            return session.get_one(JobRecord, job)

    def events(self, job: str) -> list[str]:
        with self._sessions() as session:
            events = select(EventRecord.kind).where(EventRecord.job == job).order_by(EventRecord.sequence)
            return list(session.scalars(events))

    def ends(self, job: str) -> list[str]:
        return [kind for kind in self.events(job) if kind in TERMINAL]

    def steps(self, job: str) -> int:
        """Different steps that were done."""
        with self._sessions() as session:
            return session.scalar(select(func.count()).where(StepRecord.job == job)) or 0

    def outcomes(self, job: str) -> dict[str, Json]:
        """What each step that was done found, by its key."""
        with self._sessions() as session:
            steps = session.scalars(select(StepRecord).where(StepRecord.job == job))
            return {step.key: step.outcome for step in steps}


@contextmanager
def running_service(folder: Path, *, workers: int = 1, **settings: object) -> Iterator[Service]:
    """Settings are given by their names without the prefix, such as ``lease_s=2``."""
    folder.mkdir(parents=True, exist_ok=True)
    service = Service(folder, workers=workers, **settings)
    service.start()
    try:
        yield service
    finally:
        service.close()


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")
    except OSError:
        return ""


def _children(pid: int) -> list[int]:
    try:
        return children_of(pid)
    except OSError:
        return []


def _json(answer: httpx.Response) -> Json:
    return dict(answer.json()) if answer.is_success else {}


def _inspected(seen: Json) -> bool:
    return seen.get("state") in ("ready", "rejected")


def _ended(seen: Json) -> bool:
    return seen.get("state") in TERMINAL
