"""A line for each incident, derived from its events; and events of one kind are found without reading all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the derived table and the index; no event is touched."""
    op.create_index("events_by_kind", "events", ["kind", "at", "incident", "seq"])
    op.create_table(
        "summaries",
        sa.Column("incident", sa.String(64), primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("form", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
