"""Says which machine this worker measures on, as long as it lives."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

import structlog
from sqlalchemy.exc import DBAPIError

from app.core.database import utc_now
from app.core.parts import Parts
from app.core.records import WorkerRecord
from enxuto.machine import Machine, this_machine

_log = structlog.get_logger(__name__)


def target_name(machine: Machine) -> str:
    """``amd-epyc-9354p-32-core-processor.2``: processor and cores, as a job's ``target`` names it."""
    processor = re.sub(r"[^a-z0-9]+", "-", machine.processor.lower()).strip("-")[:70] or machine.architecture
    return f"{processor}.{machine.cores}"


class Presence(threading.Thread):
    """Keeps a worker's row fresh, and takes it away when the worker stops."""

    def __init__(self, parts: Parts, worker: str) -> None:
        super().__init__(name="presence", daemon=True)
        self._parts = parts
        self._worker = worker
        self._end = threading.Event()

    def stop(self) -> None:
        self._end.set()

    def run(self) -> None:
        self._try(self._show)
        while not self._end.wait(self._parts.settings.lease_s / 3):
            self._try(self._show)
        self._try(self._leave)

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except DBAPIError:  # the row is for people to look at; the next one comes soon
            _log.warning("presence_not_shown", exc_info=True)

    def _show(self) -> None:
        machine = this_machine()
        row = WorkerRecord(
            id=self._worker,
            target=target_name(machine),
            machine=machine.model_dump(mode="json"),
            seen_at=utc_now(),
        )
        with self._parts.writing.begin() as session:
            session.merge(row)

    def _leave(self) -> None:
        with self._parts.writing.begin() as session:
            if row := session.get(WorkerRecord, self._worker):
                session.delete(row)
