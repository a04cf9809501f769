"""What every call needs, made once when the service starts."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from app.core.blobs import Blobs
from app.core.database import READ_ONLY, make_engine, migrate, sessions
from app.core.settings import Settings
from app.core.watch import Watch


@dataclass(frozen=True)
class Parts:
    settings: Settings
    engine: Engine
    blobs: Blobs
    writing: sessionmaker[Session]
    reading: sessionmaker[Session]
    watch: Watch


def open_parts(settings: Settings) -> Parts:
    """Bring the database up to date, clear away what a crash left, and open everything."""
    migrate(settings)
    engine = make_engine(settings)
    blobs = Blobs(settings)
    blobs.discard_abandoned()
    reading = sessions(engine.execution_options(**READ_ONLY))
    return Parts(settings, engine, blobs, sessions(engine), reading, Watch(reading))
