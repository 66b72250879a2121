"""A line for each incident, derived from its events; and events of one kind are found without reading all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_INDEX, _COLUMNS = "events_by_kind", ["kind", "at", "incident", "seq"]
_BROKEN_OFF = sa.text(
    "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid)"
).bindparams(name=_INDEX)


def upgrade() -> None:
    """Make the derived table and the index; no event is touched."""
    if op.get_context().dialect.name == "postgresql":
        _index_beside_writers()
    else:
        op.create_index(_INDEX, "events", _COLUMNS)
    op.create_table(
        "summaries",
        sa.Column("incident", sa.String(64), primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("form", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )


def _index_beside_writers() -> None:
    """Build it while others append.  It is kept when what comes after fails; one that was broken off is made anew."""
    with op.get_context().autocommit_block():
        if op.get_bind().execute(_BROKEN_OFF).scalar():
            op.drop_index(_INDEX, "events", postgresql_concurrently=True, if_exists=True)
        op.create_index(_INDEX, "events", _COLUMNS, postgresql_concurrently=True, if_not_exists=True)
