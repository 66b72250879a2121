"""The table of the lab's shop: one row an object, one encrypted column, and the logins that may use it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from integrations.secrets import read_secret, write_secret
from simulations.environments import Site
from simulations.lab.postgres import PostgresServer

TABLE, COLUMN, CONNECTION = "public.orders", "card", "shop"
DATASET = f"postgres:{CONNECTION}/{TABLE}.{COLUMN}"


def start(site: Site) -> PostgresServer:
    """A server with the table, empty."""
    server = PostgresServer.start(site.processes, site.directory / "shop")
    with server.connect() as connection:
        connection.execute("CREATE TABLE public.orders (id bigint PRIMARY KEY, card bytea, card_key text)")
    return server


def create_login(server: PostgresServer, name: str, folder: Path, *, privileges: str) -> Path:
    """Make a login with these privileges on the table; returns the file with its conninfo, password included.

    The password alone is in ``FOLDER/NAME.password``.
    """
    password_file = folder / f"{name}.password"
    server.create_role(name, password_file=password_file)
    with server.connect() as connection:
        connection.execute(
            sql.SQL("GRANT {} ON public.orders TO {}").format(
                sql.SQL(", ").join(map(sql.SQL, privileges.split())),
                sql.Identifier(name),
            )
        )
    dsn_file = folder / f"{name}.dsn"
    write_secret(f"file:{dsn_file}", server.dsn(name, password_file=password_file))
    return dsn_file


def options(dsn_file: Path) -> dict[str, Any]:
    """A connection of ``keyquell.yaml`` that logs in with this conninfo."""
    return {"type": "postgres", "dsn": f"file:{dsn_file}"}


def stored_values(connection_options: Mapping[str, Any], limit: int | None = None) -> list[tuple[str, bytes]]:
    """The first rows as they are stored (all without ``limit``): what a thief of a backup holds."""
    dsn = read_secret(str(connection_options["dsn"]))
    with psycopg.connect(dsn, connect_timeout=2) as connection:
        rows = connection.execute("SELECT id, card FROM public.orders ORDER BY id LIMIT %s", (limit,)).fetchall()
    return [(str(row[0]), bytes(row[1])) for row in rows]


def row_of(object_id: str) -> str:
    """The key of the row that holds an object, as text."""
    return str(int(object_id))


def associated_data(row: str) -> bytes:
    """What a value is bound to: the key of its row."""
    return row.encode()
