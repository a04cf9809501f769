"""Models of several files"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("models", sa.Column("files", sa.JSON(), nullable=True))
    op.add_column("models", sa.Column("manifest", sa.String(length=64), nullable=True))
    op.add_column("models", sa.Column("gathered", sa.String(length=64), nullable=True))


def downgrade() -> None:
    for column in ("gathered", "manifest", "files"):
        op.drop_column("models", column)
