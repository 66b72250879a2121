"""One revision of the record's tables a file; Alembic reads them by their ``revision`` and ``down_revision``."""
