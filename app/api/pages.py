"""Lists, a page at a time, newest first. Ids sort by age, so what is new never shifts what comes next."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.api.deps import Caller, Window
from app.core.errors import Fault, Unprocessable
from app.core.records import DatasetRecord, JobRecord, ModelRecord, UploadRecord

Found = TypeVar("Found", ModelRecord, DatasetRecord, JobRecord, UploadRecord)
Filters = Mapping[InstrumentedAttribute[str] | InstrumentedAttribute[str | None], str | None]
"""Value wanted by column; None where any will do."""


def page_of(
    session: Session, record: type[Found], caller: Caller, window: Window, wanted: Filters
) -> tuple[list[Found], str | None]:
    """The caller's rows with the wanted values, and the cursor of the next page."""
    query = select(record).where(record.tenant == caller.tenant).order_by(record.id.desc())
    query = query.where(*[column == value for column, value in wanted.items() if value is not None])
    if window.cursor is not None:
        query = query.where(record.id < _decode(window.cursor))
    rows = list(session.scalars(query.limit(window.limit + 1)))
    page = rows[: window.limit]
    return page, _encode(page[-1].id) if len(rows) > window.limit else None


def _encode(id_: str) -> str:
    return base64.urlsafe_b64encode(id_.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        id_ = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise _not_a_cursor() from error
    if not id_ or not id_.isprintable():
        raise _not_a_cursor()
    return id_


def _not_a_cursor() -> Unprocessable:
    fault = Fault("cursor_invalid", "This is no cursor of this service.", parameter="cursor")
    return Unprocessable(
        fault.detail,
        code="invalid_parameters",
        hint="Send `next_cursor` of the page before as it came, or nothing for the first page.",
        errors=[fault],
    )
