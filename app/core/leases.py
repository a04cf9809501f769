"""What a worker does to a job that it holds: claim it, keep it, record what its steps found, end it or give it back.

A lease is a fencing number. Every write says ``WHERE fence = …``, so a worker that was thought dead and is not changes
nothing any more and learns so by ``LeaseLost``. The caller owns the transaction, and commits it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, case, delete, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from app.core import jobs
from app.core.database import utc_now
from app.core.records import BlobUse, Document, EventRecord, JobRecord, StepRecord
from enxuto.errors import Finding, Interrupted
from enxuto.schema import Digest
from enxuto.search.plan import Progress
from enxuto.steps import Outcome


class LeaseLost(Interrupted):
    """Somebody else holds the job, or nobody: whoever held it must leave it alone."""

    default_code = "lease_lost"


@dataclass(frozen=True)
class Lease:
    """The right to work on a job, until the fence moves on."""

    job: str
    fence: int
    attempt: int
    tenant: str
    kind: str
    subject: str
    request: Document
    spent_s: float
    """Of the deadline, by earlier attempts."""


def claim(session: Session, *, worker: str, lane: jobs.Lane, targets: Sequence[str]) -> Lease | None:
    """Take up the next queued job of a lane for one of these targets; None where none waits.

    Smallest priority first; then the tenant with the fewest running jobs, then the one served longest ago; then age.
    """
    waits = (JobRecord.state == "queued", JobRecord.lane == lane, JobRecord.target.in_(targets))
    while session.scalar(select(exists().where(*waits))):
        statement = (
            update(JobRecord)
            .where(JobRecord.id == _next_job(lane, waits), JobRecord.state == "queued")
            .values(
                state=case((JobRecord.cancel_requested, "cancelling"), else_="running"),
                worker=worker,
                fence=JobRecord.fence + 1,
                attempt=JobRecord.attempt + 1,
                heartbeat=JobRecord.heartbeat + 1,
                started_at=func.coalesce(JobRecord.started_at, utc_now()),
            )
            .returning(JobRecord)
            .execution_options(synchronize_session=False, populate_existing=True)
        )
        if (job := session.scalar(statement)) is not None:
            jobs.append_event(session, job.id, job.state, {"attempt": job.attempt})
            return _lease(job)
    return None


def renew(session: Session, lease: Lease, *, spent_s: float, progress: Progress | None = None) -> None:
    """Show that the holder lives, how much of the deadline is gone, and how far the job is where that changed.

    How far never goes back, though a plan that is taken up again begins at its beginning.
    """
    seen: dict[str, Any] = {}
    if progress is not None:
        reached = min(max(progress.fraction, 0.0), 1.0)
        fraction = case((JobRecord.fraction < reached, reached), else_=JobRecord.fraction)
        seen = {"phase": progress.phase, "message": progress.message, "fraction": fraction}
    _write(session, lease, spent_s=spent_s, **seen)


def cancel_requested(session: Session, lease: Lease) -> bool:
    """Whether somebody asked for the end of the job; raises LeaseLost."""
    flag = session.scalar(select(JobRecord.cancel_requested).where(JobRecord.id == lease.job, held(lease)))
    if flag is None:
        raise LeaseLost(f"The lease of job {lease.job} is gone.")
    return flag


def use_blobs(session: Session, lease: Lease, digests: Collection[Digest]) -> None:
    """Keep blobs from being swept away while the job may need them."""
    _write(session, lease)
    add_uses(session, lease.job, digests)


def record_step(
    session: Session, lease: Lease, *, key: str, kind: str, outcome: Outcome, blobs: Collection[Digest]
) -> None:
    """Keep what a step found, with the blobs it left, so that nobody has to run it again."""
    _write(session, lease)
    session.execute(delete(StepRecord).where(StepRecord.job == lease.job, StepRecord.key == key))
    document = outcome.model_dump(mode="json", by_alias=True)
    session.add(StepRecord(job=lease.job, key=key, kind=kind, outcome=document, at=utc_now()))
    session.flush()
    add_uses(session, lease.job, blobs)
    jobs.append_event(session, lease.job, "step", {"kind": kind, "status": outcome.status})


def release(session: Session, lease: Lease, *, spent_s: float) -> bool:
    """Give the job back unharmed, for another worker to take up at once; whether it was still held."""
    return jobs.move(session, lease.job, "queued", held(lease), event="released", spent_s=spent_s)


@dataclass(frozen=True)
class Pulse:
    """A held job as the sweep sees it: a lease is alive as long as this changes."""

    job: str
    fence: int
    heartbeat: int


def pulses(session: Session) -> list[Pulse]:
    rows = select(JobRecord.id, JobRecord.fence, JobRecord.heartbeat).where(JobRecord.state.in_(jobs.HELD))
    return [Pulse(*row) for row in session.execute(rows)]


def expire(session: Session, pulse: Pulse, *, max_deaths: int) -> jobs.State | None:
    """Take a job from a holder whose pulse stood still: back into the queue, or failed where it keeps on dying.

    Deaths count in a row, without a step finished in between: a job that gets on is tried again, one that kills its
    workers is not. None where the holder moved after all.
    """
    still = (JobRecord.fence == pulse.fence) & (JobRecord.heartbeat == pulse.heartbeat) & JobRecord.state.in_(jobs.HELD)
    if _deaths_in_a_row(session, pulse.job) + 1 < max_deaths:
        return "queued" if jobs.move(session, pulse.job, "queued", still, event="lost") else None
    finding = Finding(
        code="worker_lost",
        detail=f"{max_deaths} workers in a row died while they worked on this job, without finishing a step.",
        hint="Look at the workers' logs for what ended them (memory, most often), then submit the job again.",
        fault="internal",
    )
    if not jobs.move(session, pulse.job, "failed", still, error=jobs.error_document(finding), phase="failed"):
        return None
    jobs.settle_subject(session, session.get_one(JobRecord, pulse.job, populate_existing=True), finding)
    return "failed"


def _lease(job: JobRecord) -> Lease:
    return Lease(
        job=job.id,
        fence=job.fence,
        attempt=job.attempt,
        tenant=job.tenant,
        kind=job.kind,
        subject=job.subject,
        request=job.request,
        spent_s=job.spent_s,
    )


def held(lease: Lease) -> ColumnElement[bool]:
    return (JobRecord.fence == lease.fence) & JobRecord.state.in_(jobs.HELD)


def _write(session: Session, lease: Lease, **values: Any) -> None:
    """Write to the job's row under the fence. Counts as a heartbeat, and locks the row for what else is written."""
    statement = update(JobRecord).where(JobRecord.id == lease.job, held(lease))
    values["heartbeat"] = JobRecord.heartbeat + 1
    written = statement.values(values).returning(JobRecord.id).execution_options(synchronize_session=False)
    if session.scalar(written) is None:
        raise LeaseLost(f"The lease of job {lease.job} is gone.")


def _next_job(lane: str, waits: Sequence[ColumnElement[bool]]) -> ScalarSelect[str]:
    """The oldest waiting job of the tenant whose turn it is."""
    urgent = JobRecord.priority == select(func.min(JobRecord.priority)).where(*waits).scalar_subquery()
    oldest = select(JobRecord.tenant, func.min(JobRecord.id).label("id")).where(*waits, urgent)
    waiting = oldest.group_by(JobRecord.tenant).subquery()
    busy = (JobRecord.state.in_(jobs.HELD), JobRecord.lane == lane)  # by state first: a tenant's history may be long
    counts = select(JobRecord.tenant, func.count().label("jobs")).where(*busy)
    running = counts.group_by(JobRecord.tenant).subquery()
    other = aliased(JobRecord)
    of_tenant = (other.tenant == waiting.c.tenant, other.lane == lane)
    served = select(func.max(other.started_at)).where(*of_tenant).scalar_subquery()
    turns = select(waiting.c.id).outerjoin(running, running.c.tenant == waiting.c.tenant)
    order = (func.coalesce(running.c.jobs, 0), served.nulls_first(), waiting.c.id)
    return turns.order_by(*order).limit(1).scalar_subquery()


def _deaths_in_a_row(session: Session, job: str) -> int:
    last_step = select(func.coalesce(func.max(EventRecord.sequence), 0)).where(
        EventRecord.job == job, EventRecord.kind == "step"
    )
    lost = select(func.count()).select_from(EventRecord).where(EventRecord.job == job, EventRecord.kind == "lost")
    return session.scalar(lost.where(EventRecord.sequence > last_step.scalar_subquery())) or 0


def add_uses(session: Session, owner: str, digests: Collection[Digest]) -> None:
    known = set(session.scalars(select(BlobUse.sha256).where(BlobUse.owner == owner, BlobUse.sha256.in_(digests))))
    session.add_all(BlobUse(owner=owner, sha256=digest) for digest in sorted(set(digests) - known))
    session.flush()
