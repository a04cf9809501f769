"""What kinds of machine can do at most: measured once for each, kept for every later profile."""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.core.database import utc_now
from app.core.records import PeaksRecord
from enxuto.steps import Peaks


def known_peaks(session: Session, fingerprint: str, threads: int) -> Peaks | None:
    """None where no profile has measured them yet on this kind of machine."""
    record = session.get(PeaksRecord, (fingerprint, threads))
    return Peaks.model_validate(record.peaks) if record else None


def keep_peaks(session: Session, fingerprint: str, peaks: Peaks) -> None:
    """Those that somebody kept first stay: a roof that moved would make profiles differ that do not."""
    record = PeaksRecord(
        fingerprint=fingerprint, threads=peaks.threads, peaks=peaks.model_dump(mode="json"), at=utc_now()
    )
    if session.get(PeaksRecord, (fingerprint, peaks.threads)) is not None:
        return
    try:
        with session.begin_nested():
            session.add(record)
    except IntegrityError:  # another worker was faster by a moment
        return
