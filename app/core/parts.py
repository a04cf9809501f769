"""What every call needs, made once when the service starts."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
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
    blobs.lift()
    blobs.discard_abandoned()
    reading = sessions(engine.execution_options(**READ_ONLY))
    return Parts(settings, engine, blobs, sessions(engine), reading, Watch(reading))


def parts_or_exit(settings: Settings) -> Parts:
    """The same for a process of its own: one that cannot start ends, and says why in a sentence."""
    try:
        return open_parts(settings)
    except SQLAlchemyError as error:
        sys.exit(f"enxuto: the database does not answer: {getattr(error, 'orig', None) or error}")
    except OSError as error:
        sys.exit(f"enxuto: the data folder '{settings.data_dir}' cannot be used: {error}")
