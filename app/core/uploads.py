"""What is done with a file that came in: a row of its own and an inspection, in one transaction; and its end."""

from __future__ import annotations

from types import MappingProxyType
from typing import TypeVar

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.orm import Session

from app.core import jobs
from app.core.database import utc_now
from app.core.errors import Conflict
from app.core.ids import new_id
from app.core.leases import add_uses
from app.core.records import BlobUse, DatasetRecord, JobRecord, ModelRecord, TenantRecord
from app.core.several import Beside, document, manifest
from enxuto.schema import Digest

Upload = TypeVar("Upload", bound=ModelRecord | DatasetRecord)


def register(
    session: Session,
    kind: type[Upload],
    *,
    tenant: str,
    name: str,
    sha256: Digest,
    size_bytes: int,
    beside: Beside = MappingProxyType({}),
) -> tuple[Upload, bool]:
    """The row of these bytes, and whether it is new. A new one is inspected. The caller commits, then rings the bell.

    Bytes that the tenant has already are not taken twice, whatever they are called; what was rejected for a reason that
    may not hold any more is.
    """
    session.execute(select(TenantRecord.id).where(TenantRecord.id == tenant).with_for_update())  # one at a time
    if known := _known(session, kind, tenant, name, sha256, manifest(beside)):
        return known, False
    now = utc_now()
    record = kind(
        id=new_id("mdl" if kind is ModelRecord else "dst"),
        tenant=tenant,
        name=name,
        sha256=sha256,
        size_bytes=size_bytes,
        state="inspecting",
        created_at=now,
        updated_at=now,
    )
    if isinstance(record, ModelRecord):
        record.files, record.manifest = document(beside), manifest(beside)
    session.add(record)
    add_uses(session, record.id, {sha256, *(file.sha256 for file in beside.values())})
    subject = "model" if kind is ModelRecord else "dataset"
    jobs.submit(
        session,
        tenant=tenant,
        kind="inspect",
        lane="inspect",
        target="any",
        request={"kind": "inspect", subject: record.id},
        subject=record.id,
    )
    return record, True


def _known(
    session: Session, kind: type[Upload], tenant: str, name: str, sha256: Digest, manifest: Digest | None
) -> Upload | None:
    # Of another name the extension may have been wrong; and where the service lacked room, it may have some now.
    lasting = and_(kind.name == name, kind.finding["fault"].as_string() == "user")
    usable = or_(kind.state != "rejected", lasting)
    same = select(kind).where(kind.tenant == tenant, kind.sha256 == sha256, usable)
    if issubclass(kind, ModelRecord):
        same = same.where(kind.manifest.is_not_distinct_from(manifest))
    return session.scalars(same.order_by(kind.state == "rejected", kind.id.desc()).limit(1)).first()


def rename(session: Session, record: ModelRecord | DatasetRecord, name: str) -> None:
    record.name = name
    record.updated_at = utc_now()
    session.flush()


def remove(session: Session, record: ModelRecord | DatasetRecord) -> None:
    """Delete a row and let go of its bytes; refused while a job that has not ended needs it."""
    if job := _user(session, record):
        raise Conflict(
            f"{record.id} is in use by {job}, which has not ended.",
            code="in_use",
            hint=f"Wait for the job, or cancel it: POST /v1/jobs/{job}/cancel.",
        )
    session.execute(delete(BlobUse).where(BlobUse.owner == record.id))
    session.delete(record)
    session.flush()


def _user(session: Session, record: ModelRecord | DatasetRecord) -> str | None:
    """A job that has not ended and names this model or dataset."""
    request = JobRecord.request
    paths = [("model",), ("against",), ("data", "evaluation"), ("data", "calibration")]
    named = or_(JobRecord.subject == record.id, *[request[path].as_string() == record.id for path in paths])
    active = JobRecord.state.in_(jobs.ACTIVE)
    return session.scalar(select(JobRecord.id).where(active, named).limit(1))
