"""Finds what was lost, and clears what nobody needs: ``python -m workers.sweep``.

Rings for jobs that wait, gives jobs back whose worker died, deletes uploads that expired and bytes that nothing uses.
May run in any number of processes at once: each of its moves changes something only where nobody else did.
"""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from datetime import timedelta
from itertools import islice

import structlog
from sqlalchemy import delete, select

from app.core import leases, resumable
from app.core.database import utc_now
from app.core.errors import Locked
from app.core.jobs import TERMINAL
from app.core.leases import Pulse
from app.core.logs import configure_logging
from app.core.parts import Parts, parts_or_exit
from app.core.queue import ring
from app.core.records import BlobUse, JobRecord, StepRecord, WorkerRecord
from app.core.settings import settings_or_exit
from enxuto.execution.folder import remove_abandoned
from workers.bench import scratch_folder

_CLEAN_EVERY_S = 60.0
_BATCH = 500
_WORKERS_KEPT = timedelta(hours=1)
_STEPS_KEPT = timedelta(days=1)
"""For whoever wants to know how a job went that has just ended."""

_log = structlog.get_logger(__name__)


class Sweep:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._seen: dict[str, tuple[Pulse, float]] = {}
        """The last pulse of each held job, and when it was first seen by this process's own clock."""
        self._cleaned = float("-inf")

    def round(self) -> None:
        self.expire_dead()
        self.ring_for_waiting()
        if time.monotonic() - self._cleaned >= _CLEAN_EVERY_S:
            self.clean()
            self._cleaned = time.monotonic()

    def ring_for_waiting(self) -> None:
        waiting = select(JobRecord.lane, JobRecord.target).where(JobRecord.state == "queued").distinct()
        with self._parts.reading() as session:
            bells = session.execute(waiting).all()
        for lane, target in bells:
            ring(self._parts.settings, lane, target)

    def expire_dead(self) -> None:
        """Take jobs from holders whose heartbeat stood still for a lease's time on this process's own clock."""
        with self._parts.reading() as session:
            pulses = leases.pulses(session)
        now = time.monotonic()
        self._seen = {pulse.job: (pulse, self._first_seen(pulse, now)) for pulse in pulses}
        for pulse, since in self._seen.values():
            if now - since >= self._parts.settings.lease_s:
                self._expire(pulse)

    def clean(self) -> None:
        self._forget_steps()
        self._forget_workers()
        self._end_uploads()
        self._delete_unused_blobs()
        self._parts.blobs.discard_abandoned()
        scratch = scratch_folder(self._parts.settings)
        if scratch.is_dir():
            remove_abandoned(scratch)

    def _first_seen(self, pulse: Pulse, now: float) -> float:
        last, since = self._seen.get(pulse.job, (None, now))
        return since if last == pulse else now

    def _expire(self, pulse: Pulse) -> None:
        with self._parts.writing.begin() as session:
            state = leases.expire(session, pulse, max_deaths=self._parts.settings.max_attempts)
        if state is not None:
            _log.warning("lease_expired", job=pulse.job, fence=pulse.fence, state=state)

    def _forget_steps(self) -> None:
        """What a job that ended found is in its report; its steps only serve to resume it."""
        ended = JobRecord.state.in_(TERMINAL) & (JobRecord.finished_at < utc_now() - _STEPS_KEPT)
        with self._parts.reading() as session:  # the jobs that still have steps are few beside all that there were
            jobs = iter(session.scalars(select(StepRecord.job).distinct()).all())
        while batch := list(islice(jobs, _BATCH)):
            forgotten = select(JobRecord.id).where(JobRecord.id.in_(batch), ended)
            with self._parts.writing.begin() as session:
                session.execute(
                    delete(StepRecord)
                    .where(StepRecord.job.in_(batch), StepRecord.job.in_(forgotten))
                    .execution_options(synchronize_session=False)
                )

    def _forget_workers(self) -> None:
        silent = WorkerRecord.seen_at < utc_now() - _WORKERS_KEPT
        with self._parts.writing.begin() as session:
            session.execute(delete(WorkerRecord).where(silent).execution_options(synchronize_session=False))

    def _end_uploads(self) -> None:
        found = resumable.overdue(self._parts)
        for id_ in (*found.expired, *found.strays):
            with suppress(Locked):  # it is written to just now
                if resumable.remove_overdue(self._parts, id_):
                    _log.info("upload_removed", upload=id_)

    def _delete_unused_blobs(self) -> None:
        """Grace is for bytes on their way to being used: an upload whose row is not written yet, a step's files."""
        grace_s = self._parts.settings.blob_grace_s
        old = self._parts.blobs.unused_for(grace_s)
        while batch := set(islice(old, _BATCH)):
            with self._parts.reading() as session:
                used = set(session.scalars(select(BlobUse.sha256).where(BlobUse.sha256.in_(batch))))
            for digest in sorted(batch - used):
                self._parts.blobs.delete(digest, older_than_s=grace_s)
                _log.info("blob_deleted", sha256=digest)


def main() -> None:
    settings = settings_or_exit()
    configure_logging(settings.log_level)
    told_to_stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, told_to_stop)
    sweep = Sweep(parts_or_exit(settings))
    pause_s = min(settings.sweep_s, settings.lease_s / 2)
    sweep.round()
    while signal.sigtimedwait(told_to_stop, pause_s) is None:
        sweep.round()


if __name__ == "__main__":
    main()
