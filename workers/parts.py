"""What every part of a worker needs: settings, database, blobs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from app.core.blobs import Blobs
from app.core.database import make_engine, sessions
from app.core.settings import Settings


@dataclass(frozen=True)
class Parts:
    settings: Settings

    @cached_property
    def engine(self) -> Engine:
        return make_engine(self.settings)

    @cached_property
    def sessions(self) -> sessionmaker[Session]:
        return sessions(self.engine)

    @cached_property
    def blobs(self) -> Blobs:
        return Blobs(self.settings)
