"""What the PostgreSQL adapters share: options, connections with our timeouts, and the translation of errors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Self

import asyncpg
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import BaseModel, ConfigDict, Field, field_validator

from integrations.options import read_options
from integrations.secrets import read_secret
from playbooks.errors import (
    BackendError,
    IntegrityFailure,
    InvalidInput,
    NotFound,
    Refused,
    Throttled,
    Unavailable,
    Unreachable,
)

CONNECT_SECONDS = 2
STATEMENT_SECONDS = 5

_REFUSED = {"28000", "28P01", "42501", "25006"}
_MISSING = {"3D000", "3F000", "42P01", "42703", "42704"}
_BUSY = {"40001", "40P01", "53300", "53400", "55P03", "55006"}
_BROKEN = {"XX001", "XX002"}


class PostgresOptions(BaseModel):
    """Settings of a ``postgres`` connection: ``dsn`` is a reference to the conninfo of the recovery login."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dsn: str = Field(description="env:NAME or file:PATH of a conninfo or URI, password included.")

    @field_validator("dsn")
    @classmethod
    def _a_reference(cls, value: str) -> str:
        if not value.startswith(("env:", "file:")):
            raise ValueError("must be a reference, env:NAME or file:PATH, never the conninfo itself")
        return value

    @classmethod
    def read(cls, name: str, options: Mapping[str, Any]) -> Self:
        """Validate; raises InvalidInput naming connection and field, without the value."""
        return read_options(cls, f"connection {name}", options)


@contextmanager
def session(
    options: PostgresOptions, *, subject: str, statement_seconds: int = STATEMENT_SECONDS
) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A fresh autocommit connection; what goes wrong in it leaves as one of our errors."""
    try:
        with psycopg.connect(conninfo(options.dsn, statement_seconds=statement_seconds), autocommit=True) as connection:
            yield connection
    except psycopg.Error as error:
        if error.sqlstate is None and "FATAL" in str(error):
            check_login(conninfo(options.dsn), subject=subject)
        raise translated(error, subject) from error


def check_login(dsn: str, *, subject: str) -> None:
    """Log in and out once, from a fresh connection.

    libpq keeps no SQLSTATE of a login that failed (psycopg 3.3), asyncpg does.  Raises Refused with the specific code
    (28000, 28P01 …), Throttled or Unreachable.
    """
    parts = conninfo_to_dict(dsn)

    async def login() -> None:
        connection = await asyncpg.connect(
            host=parts.get("host"),
            port=int(str(parts.get("port", 5432))),
            user=parts.get("user"),
            password=parts.get("password"),
            database=parts.get("dbname"),
            ssl=parts.get("sslmode", "prefer"),
            timeout=CONNECT_SECONDS,
        )
        await connection.close(timeout=CONNECT_SECONDS)

    with ThreadPoolExecutor(1) as thread:  # the caller may be inside an event loop
        try:
            thread.submit(lambda: asyncio.run(login())).result()
        except asyncpg.PostgresError as error:
            raise _by_code(str(error.sqlstate or ""), f"PostgreSQL on {subject}: {error}", subject) from error
        except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
            raise _by_code("", f"PostgreSQL on {subject}: {type(error).__name__}", subject) from error


def conninfo(reference: str, *, statement_seconds: int = STATEMENT_SECONDS) -> str:
    """The conninfo behind a reference with our own timeouts; never log it.

    Raises InvalidInput when it cannot be parsed, without repeating it.
    """
    milliseconds = statement_seconds * 1000
    try:
        return make_conninfo(
            read_secret(reference),
            connect_timeout=CONNECT_SECONDS,
            tcp_user_timeout=milliseconds,
            application_name="keyquell",
            options=f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds} -c bytea_output=hex",
        )
    except psycopg.ProgrammingError:
        raise InvalidInput(f"the secret behind {reference} is not a PostgreSQL conninfo") from None


def translated(error: psycopg.Error, subject: str) -> BackendError:
    """Our error for PostgreSQL's, by SQLSTATE; without one nothing was reached."""
    first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return _by_code(error.sqlstate or "", f"PostgreSQL on {subject}: {first_line}", subject)


def _by_code(code: str, message: str, subject: str) -> BackendError:
    if code in _REFUSED:
        return Refused(message, subject=subject, code=code, hint="Check the login's rights.")
    if code in _MISSING:
        return NotFound(message, subject=subject, code=code, hint="Check the reference.")
    if code in _BUSY:
        return Throttled(message, subject=subject, code=code, hint="Try again.")
    if code in _BROKEN:
        return IntegrityFailure(message, subject=subject, code=code, hint="Restore from a backup.")
    if code == "0A000":
        return Unavailable(message, subject=subject, code=code)
    if not code or code.startswith(("08", "57")):
        return Unreachable(message, subject=subject, code=code, hint="Check that the server runs.")
    return BackendError(message, subject=subject, code=code)
