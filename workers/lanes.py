"""Threads that wait for the bell, claim jobs and drive them until none is left.

One thread a lane, so that an inspection never waits behind a search. A thread lives as long as the worker: the steps'
processes die with the thread that started them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import structlog
from structlog.contextvars import bound_contextvars

from app.core import leases
from app.core.jobs import Lane
from app.core.leases import Lease
from app.core.parts import Parts
from workers.drive_job import drive_job

_log = structlog.get_logger(__name__)


class LaneThread(threading.Thread):
    def __init__(self, parts: Parts, lane: Lane, worker: str, targets: Sequence[str]) -> None:
        super().__init__(name=f"lane-{lane}", daemon=True)
        self.lane: Lane = lane
        self._parts = parts
        self._worker = worker
        self._targets = targets
        self._stopping = threading.Event()
        self._bell = threading.Event()
        self._bell.set()  # what waited before this worker came

    def ring(self) -> None:
        self._bell.set()

    def stop(self) -> None:
        """Give back what is running and end."""
        self._stopping.set()
        self._bell.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            self._bell.wait()
            self._bell.clear()
            try:
                self._drain()
            except Exception:  # noqa: BLE001 - whatever it was, the next bell finds this worker alive
                _log.exception("lane_failed", lane=self.lane)

    def _drain(self) -> None:
        while not self._stopping.is_set() and (lease := self._claim()):
            with bound_contextvars(job=lease.job, attempt=lease.attempt):
                _log.info("job_claimed", kind=lease.kind)
                drive_job(self._parts, lease, self._stopping)

    def _claim(self) -> Lease | None:
        with self._parts.writing.begin() as session:
            return leases.claim(session, worker=self._worker, lane=self.lane, targets=self._targets)
