"""Rows that tests of the job's life begin with."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import jobs
from app.core.database import utc_now
from app.core.ids import new_id
from app.core.parts import Parts
from app.core.records import EventRecord, JobRecord, ModelRecord, TenantRecord


def add_tenant(session: Session, name: str) -> str:
    if session.get(TenantRecord, name) is None:
        session.add(TenantRecord(id=name, created_at=utc_now()))
        session.flush()
    return name


def add_model(session: Session, *, tenant: str = "default", sha256: str = "a" * 64) -> ModelRecord:
    """A model that is being inspected."""
    model = ModelRecord(
        id=new_id("mdl"),
        tenant=add_tenant(session, tenant),
        name="tiny.onnx",
        sha256=sha256,
        size_bytes=3,
        state="inspecting",
        created_at=utc_now(),
        updated_at=utc_now(),
    )
    session.add(model)
    session.flush()
    return model


def submit(parts: Parts, *, tenant: str = "default", **values: object) -> str:
    """A queued job of the work lane, unless said otherwise; its id."""
    given = {"kind": "optimize", "lane": "work", "target": "any", "request": {}, "subject": "mdl_x", **values}
    with parts.writing.begin() as session:
        return jobs.submit(session, tenant=add_tenant(session, tenant), **given).id


def read_job(parts: Parts, job: str) -> JobRecord:
    with parts.reading() as session:
        return session.get_one(JobRecord, job)


def event_kinds(parts: Parts, job: str) -> list[str]:
    with parts.reading() as session:
        kinds = select(EventRecord.kind).where(EventRecord.job == job).order_by(EventRecord.sequence)
        return list(session.scalars(kinds))
