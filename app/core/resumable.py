"""Uploads that take several requests: their rows, which say how many bytes count, and their end.

Bytes are on the disk before the row counts them, so that after a crash the row never promises what is not there; what
the file holds beyond is cut off by the next request. The caller owns no transaction here: each move is one of its own.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.core.blobs import Blobs
from app.core.database import utc_now
from app.core.errors import NotFound, StorageFull, TooMany
from app.core.growing import Growing, growing, held_back
from app.core.ids import is_id, new_id
from app.core.leases import add_uses
from app.core.parts import Parts
from app.core.records import BlobUse, TenantRecord, UploadRecord
from enxuto.schema import Digest


def create(parts: Parts, tenant: str, length_bytes: int | None, described: str) -> UploadRecord:
    """A new upload with nothing in it yet. Raises TooMany, or StorageFull where its bytes will find no room."""
    now = utc_now()
    with parts.writing() as session, session.begin():
        session.execute(select(TenantRecord.id).where(TenantRecord.id == tenant).with_for_update())
        _check_number(session, tenant, parts.settings.max_uploads)
        require_room(session, parts.blobs, length_bytes or 0)
        record = UploadRecord(
            id=new_id("upl"),
            tenant=tenant,
            offset_bytes=0,
            length_bytes=length_bytes,
            described=described,
            sha256=None,
            created_at=now,
            updated_at=now,
            expires_at=_expiry(parts),
        )
        session.add(record)
    return record


def find(parts: Parts, tenant: str, id_: str) -> UploadRecord:
    """Raises NotFound, also where it has expired or is another tenant's."""
    with parts.reading() as session:
        return require(session, tenant, id_)


def require(session: Session, tenant: str, id_: str) -> UploadRecord:
    record = session.get(UploadRecord, id_) if is_id("upl", id_) else None
    if record is None or record.tenant != tenant or record.expires_at <= utc_now():
        raise NotFound(
            f"There is no upload '{id_[:80]}', or it has expired.",
            code="not_found",
            hint="Begin anew: POST /v1/uploads. GET /v1/uploads lists those there are.",
        )
    return record


def set_length(parts: Parts, id_: str, length_bytes: int) -> None:
    """Of an upload that was begun without one."""
    with parts.writing() as session, session.begin():
        record = session.get_one(UploadRecord, id_)
        require_room(session, parts.blobs, length_bytes - record.offset_bytes)
        record.length_bytes = length_bytes


def advance(parts: Parts, id_: str, offset_bytes: int) -> UploadRecord:
    """Count bytes that are on the disk."""
    with parts.writing() as session, session.begin():
        record = session.get_one(UploadRecord, id_)
        record.offset_bytes = offset_bytes
        record.updated_at = utc_now()
        record.expires_at = _expiry(parts)
    return record


def is_whole(record: UploadRecord) -> bool:
    return record.offset_bytes == record.length_bytes


def settle(parts: Parts, record: UploadRecord, file: Growing | None = None) -> Digest:
    """The digest of an upload that is whole, its bytes in the blob store; may be called again after a crash.

    The row names the blob before the bytes become it, so that the sweep finds it used. Whoever asks has a blob's grace
    to use the bytes, also where the upload is deleted or expires meanwhile.
    """
    if record.sha256 and parts.blobs.freshen(record.sha256):
        return record.sha256
    if file is None:
        with growing(parts.blobs, record.id) as own:
            record = find(parts, record.tenant, record.id)
            if record.sha256 and parts.blobs.freshen(record.sha256):  # somebody was quicker; this file is new and empty
                own.remove()
                return record.sha256
            own.cut(record.offset_bytes)
            return settle(parts, record, own)
    digest = file.digest()
    with parts.writing() as session, session.begin():
        session.get_one(UploadRecord, record.id).sha256 = digest
        add_uses(session, record.id, [digest])
    file.keep(digest)
    return digest


def remove(parts: Parts, id_: str) -> None:
    """Forget an upload; what else needs its bytes keeps them. Raises Locked while it is written to."""
    with growing(parts.blobs, id_) as file:
        _forget(parts, id_, file)


def remove_overdue(parts: Parts, id_: str) -> bool:
    """Likewise, unless bytes came since it was found overdue; whether it is gone."""
    with growing(parts.blobs, id_) as file:
        with parts.reading() as session:
            record = session.get(UploadRecord, id_)
        if record and record.expires_at > utc_now():
            return False
        _forget(parts, id_, file)
        return True


def _forget(parts: Parts, id_: str, file: Growing) -> None:
    with parts.writing() as session, session.begin():
        session.execute(delete(BlobUse).where(BlobUse.owner == id_))
        session.execute(delete(UploadRecord).where(UploadRecord.id == id_))
    file.remove()


@dataclass(frozen=True)
class Overdue:
    """What the sweep is to throw away."""

    expired: list[str]
    strays: list[str]
    """Files without a row: a crash came between the row's end and the file's."""


def overdue(parts: Parts) -> Overdue:
    files = held_back(parts.blobs)
    with parts.reading() as session:
        expired = list(session.scalars(select(UploadRecord.id).where(UploadRecord.expires_at <= utc_now())))
        known = set(session.scalars(select(UploadRecord.id)))  # there may be more files than a query may name
    return Overdue(expired, [name for name in files if name not in known])


def require_room(session: Session, blobs: Blobs, size_bytes: int) -> None:
    """For bytes that are announced, beside those that other uploads were promised."""
    missing = func.coalesce(func.sum(UploadRecord.length_bytes - UploadRecord.offset_bytes), 0)
    promised = session.scalar(select(missing).where(UploadRecord.length_bytes.is_not(None))) or 0
    free = shutil.disk_usage(blobs.folder).free - promised
    if size_bytes > free:
        raise StorageFull(
            f"{size_bytes} bytes are announced, and there is room for {max(free, 0)} bytes.",
            code="storage_full",
            hint="Delete models, datasets and uploads that are not needed, or ask the operator for room.",
        )


def _check_number(session: Session, tenant: str, most: int) -> None:
    if (session.scalar(select(func.count()).where(UploadRecord.tenant == tenant)) or 0) >= most:
        raise TooMany(
            f"There are {most} uploads already.",
            code="too_many_uploads",
            hint="Finish or delete some: GET /v1/uploads lists them. They expire by themselves.",
            headers={"Retry-After": "60"},
        )


def _expiry(parts: Parts) -> datetime:
    return utc_now() + timedelta(seconds=parts.settings.upload_keep_s)
