"""The migrations and the records say the same, on every start."""

from __future__ import annotations

import threading
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select

from app.core.database import make_engine, migrate, sessions
from app.core.records import Record, TenantRecord
from app.core.settings import Settings
from tests.support.database import fresh_database


def test_migrations_lead_to_exactly_the_tables_of_the_records(tmp_path: Path) -> None:
    with fresh_database(tmp_path) as settings, make_engine(settings).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Record.metadata) == []


def test_a_new_database_has_the_default_tenant(tmp_path: Path) -> None:
    with fresh_database(tmp_path) as settings, sessions(make_engine(settings))() as session:
        tenant = session.scalars(select(TenantRecord)).one()
    assert tenant.id == "default"
    assert tenant.created_at.utcoffset() is not None


def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    failures: list[Exception] = []

    def start() -> None:
        try:
            migrate(settings)
        except Exception as error:  # noqa: BLE001 - handed to the assertion below
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_every_table_of_things_that_users_make_belongs_to_a_tenant() -> None:
    for name in ("models", "datasets", "uploads", "jobs"):
        assert "tenant" in Record.metadata.tables[name].columns
