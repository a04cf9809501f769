"""A job's life: its states, and every move between them.

    queued ──▶ running ──▶ succeeded │ failed │ cancelled
      │  ◀────── │ ▲                      ▲
      │    lost, │ │ claimed              │
      │ released ▼ │                      │
      │       cancelling ─────────────────┘
      └──▶ cancelled

A move is a compare-and-set, ``UPDATE … WHERE state IN (those that may go there)``: whoever comes second changes
nothing. It sets its own time and appends its event in the same transaction, so that a job
ends once and its events say so once. Workers hold jobs by a lease (``app.core.leases``) and end them
(``app.core.endings``). The caller owns the transaction everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.orm import Session

from app.core.database import utc_now
from app.core.ids import new_id
from app.core.records import DatasetRecord, Document, EventRecord, JobRecord, ModelRecord
from enxuto.errors import Finding

State = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
Lane = Literal["inspect", "work"]
Kind = Literal["inspect", "optimize", "compare", "benchmark", "profile"]

TRANSITIONS: Mapping[State, frozenset[State]] = {
    "queued": frozenset({"running", "cancelling", "cancelled"}),
    "running": frozenset({"cancelling", "succeeded", "failed", "queued"}),
    "cancelling": frozenset({"succeeded", "failed", "cancelled", "queued"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
TERMINAL: frozenset[State] = frozenset(state for state, following in TRANSITIONS.items() if not following)
ACTIVE: frozenset[State] = frozenset(TRANSITIONS) - TERMINAL
HELD: frozenset[State] = frozenset({"running", "cancelling"})
"""States in which a worker holds the job's lease."""

NORMAL_PRIORITY = 100
CANCELLED = Finding(
    code="inspection_cancelled",
    detail="The inspection was cancelled before it was done.",
    hint="Delete this upload and send it again.",
)


def submit(
    session: Session,
    *,
    tenant: str,
    kind: Kind,
    lane: Lane,
    target: str,
    request: Document,
    subject: str,
    priority: int = NORMAL_PRIORITY,
) -> JobRecord:
    """Write a queued job and its first event. Ring the bell (``app.core.queue.ring``) after the commit."""
    job = JobRecord(
        id=new_id("job"),
        tenant=tenant,
        kind=kind,
        lane=lane,
        target=target,
        state="queued",
        request=request,
        subject=subject,
        priority=priority,
        created_at=utc_now(),
        attempt=0,
        fence=0,
        heartbeat=0,
        spent_s=0.0,
        cancel_requested=False,
        phase="queued",
        message="",
        fraction=0.0,
    )
    session.add(job)
    session.flush()
    append_event(session, job.id, "queued")
    return job


def request_cancel(session: Session, job: JobRecord) -> None:
    """Cancel a queued job at once, and ask the worker of a running one to end it with the best so far.

    Nothing changes where the job is being cancelled or has ended. The record is refreshed.
    """
    session.execute(select(JobRecord.id).where(JobRecord.id == job.id).with_for_update())
    if move(session, job.id, "cancelled", JobRecord.state == "queued", cancel_requested=True, phase="cancelled"):
        settle_subject(session, job, CANCELLED)
    else:
        move(session, job.id, "cancelling", JobRecord.state == "running", cancel_requested=True)
    session.refresh(job)


def queue_positions(session: Session, records: Sequence[JobRecord]) -> dict[str, int]:
    """How many queued jobs of its lane came before, by priority and age, and one; of those that are queued, by id."""
    queued = {job.id for job in records if job.state == "queued"}
    if not queued:
        return {}
    place = func.row_number().over(partition_by=JobRecord.lane, order_by=(JobRecord.priority, JobRecord.id))
    line = select(JobRecord.id, place.label("place")).where(JobRecord.state == "queued").subquery()
    places = session.execute(select(line.c.id, line.c.place).where(line.c.id.in_(queued)))
    return {row.id: row.place for row in places}


def move(
    session: Session,
    job: str,
    to: State,
    only: ColumnElement[bool],
    *,
    event: str | None = None,
    data: Document | None = None,
    **values: Any,
) -> bool:
    """Move a job to a state, from those that may go there and only where the condition holds; whether it moved.

    The event is named after the state unless another name is given.
    """
    sources = [state for state, following in TRANSITIONS.items() if to in following]
    if to in TERMINAL:
        values = {"finished_at": utc_now(), "worker": None, **values}
    elif to == "queued":
        values = {"worker": None, **values}
    statement = update(JobRecord).where(JobRecord.id == job, JobRecord.state.in_(sources), only)
    moved = session.scalar(statement.values(state=to, **values).returning(JobRecord.id))
    if moved is None:
        return False
    append_event(session, job, event or to, data)
    return True


def append_event(session: Session, job: str, kind: str, data: Document | None = None) -> None:
    """The job's row must have been written to in this transaction: its lock keeps the sequence without gaps."""
    following = select(func.coalesce(func.max(EventRecord.sequence), 0) + 1).where(EventRecord.job == job)
    values = {"job": job, "sequence": following.scalar_subquery(), "kind": kind, "at": utc_now(), "data": data or {}}
    session.execute(insert(EventRecord).values(values))


def settle_subject(session: Session, job: JobRecord, finding: Finding) -> None:
    """An inspection that ended without an answer leaves its model or dataset rejected, never inspecting for ever."""
    if job.kind != "inspect":
        return
    document = finding.model_dump(mode="json")
    for record in (ModelRecord, DatasetRecord):
        inspecting = update(record).where(record.id == job.subject, record.state == "inspecting")
        session.execute(inspecting.values(state="rejected", finding=document, updated_at=utc_now()))


def error_document(finding: Finding) -> Document:
    return {"code": finding.code, "class": finding.fault, "detail": finding.detail, "hint": finding.hint}
