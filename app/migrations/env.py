"""Alembic's entry: runs revisions on the connection that ``app.core.database`` hands over."""

from __future__ import annotations

from typing import Literal

from alembic import context

from app.core.records import Record, UtcDateTime


def render_item(kind: str, item: object, _: object) -> str | Literal[False]:
    """Write our own types as the plain ones they are stored as, so that a revision needs nothing of the program."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Record.metadata,
    compare_type=True,
    render_item=render_item,
    render_as_batch=True,
)
context.run_migrations()
