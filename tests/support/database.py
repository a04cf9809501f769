"""A fresh, migrated database for one test: SQLite in its folder, or PostgreSQL where ENXUTO_TEST_DATABASE_URL says."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from app.core.database import migrate
from app.core.settings import Settings


@contextmanager
def fresh_database(folder: Path, **settings: object) -> Iterator[Settings]:
    """Settings of a database that holds nothing but its tables."""
    server = os.environ.get("ENXUTO_TEST_DATABASE_URL")
    if server is None:
        yield _migrated(Settings(data_dir=folder, database_url=None, **settings))
        return
    name = f"enxuto_test_{secrets.token_hex(6)}"
    _execute(server, f"CREATE DATABASE {name}")
    try:
        url = make_url(server).set(database=name).render_as_string(hide_password=False)
        yield _migrated(Settings(data_dir=folder, database_url=url, **settings))
    finally:
        _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _migrated(settings: Settings) -> Settings:
    migrate(settings)
    return settings


def _execute(server: str, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
