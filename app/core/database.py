"""The database: an engine for SQLite or PostgreSQL, sessions, and migrations."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Connection as SqliteConnection

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from app.core.settings import Settings

READ_ONLY = {"enxuto_read_only": True}
"""Execution option of connections that only read: ``session.connection(execution_options=READ_ONLY)``. On SQLite they
wait for no writer."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def make_engine(settings: Settings) -> Engine:
    """An engine for the database of these settings; the folder of an SQLite file is made where it is missing."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if settings.database.startswith("sqlite"):
        return _sqlite_engine(settings.database)
    return create_engine(settings.database, pool_pre_ping=True, pool_size=16, max_overflow=32)


def sessions(engine: Engine) -> sessionmaker[Session]:
    return sessionmaker(engine, expire_on_commit=False)


def migrate(settings: Settings) -> None:
    """Bring the database to the newest revision. Safe to call from several processes at once."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    engine = make_engine(settings)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7382934)")
            command.upgrade(migration_config(connection), "head")
    finally:
        engine.dispose()


def migration_config(connection: Connection) -> Config:
    """Alembic's configuration for an open connection; there is no ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations"))
    config.attributes["connection"] = connection
    return config


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": 30.0}, pool_size=16, max_overflow=32)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: SqliteConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver would begin too late, at the first write
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock first: a transaction that reads and then writes cannot be turned away half-way."""
    reads = connection.get_execution_options().get("enxuto_read_only", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
