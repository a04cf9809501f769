"""Keeps a lease alive, and hears what the outside has to say about the job.

A thread of its own: the one that drives the job waits for its steps.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy.exc import DBAPIError

from app.core import leases
from app.core.leases import Lease, LeaseLost
from app.core.parts import Parts
from enxuto.search.plan import Progress

_LOOK_S = 0.4
"""How often the row is looked at for a cancel: soon enough for a person, seldom enough for a database."""
_PROGRESS_S = 1.0

_log = structlog.get_logger(__name__)


class Pulse:
    """``cancelled`` and ``lost`` become true once and stay so."""

    def __init__(self, parts: Parts, lease: Lease) -> None:
        self.cancelled = False
        self.lost = False
        self._parts = parts
        self._lease = lease
        self._lease_s = parts.settings.lease_s
        self._started = self._renewed = time.monotonic()
        self._progress: Progress | None = None
        self._shown: Progress | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"pulse-{lease.job}", daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()

    @property
    def spent_s(self) -> float:
        """Of the job's deadline, this attempt and the earlier ones."""
        return self._lease.spent_s + time.monotonic() - self._started

    def show(self, progress: Progress) -> None:
        """What the job does now; written down at the next beat, at most once a second."""
        self._progress = progress

    def _run(self) -> None:
        while not self.lost and not self._end.wait(_LOOK_S):
            self._look()

    def _look(self) -> None:
        try:
            with self._parts.reading() as session:
                self.cancelled = leases.cancel_requested(session, self._lease)
            if self._is_due():
                self._renew()
        except LeaseLost:
            self.lost = True
        except DBAPIError:
            _log.warning("database_does_not_answer", exc_info=True)
            # Nobody may be left to believe that the lease holds, not even its holder.
            self.lost = time.monotonic() - self._renewed > self._lease_s

    def _is_due(self) -> bool:
        since = time.monotonic() - self._renewed
        return since >= self._lease_s / 4 or (since >= _PROGRESS_S and self._progress is not self._shown)

    def _renew(self) -> None:
        progress = self._progress
        with self._parts.writing.begin() as session:
            leases.renew(session, self._lease, spent_s=self.spent_s, progress=progress)
        self._shown = progress
        self._renewed = time.monotonic()
