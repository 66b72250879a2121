"""A new database of each kind that records are kept in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL

from simulations.lab.postgres import PostgresServer
from simulations.lab.processes import Processes


@pytest.fixture(scope="module")
def postgres(lab_processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> PostgresServer:
    return PostgresServer.start(lab_processes, tmp_path_factory.mktemp("records") / "postgres")


@pytest.fixture
def server_url(postgres: PostgresServer) -> str:
    """The URL of a PostgreSQL database that nobody has opened yet; its tests are marked ``lab``."""
    database = f"records_{os.urandom(6).hex()}"
    postgres.create_database(database)
    login = conninfo_to_dict(postgres.admin_dsn_file.read_text().strip())
    return URL.create(
        "postgresql",
        username=str(login["user"]),
        password=str(login["password"]),
        host=str(login["host"]),
        port=int(str(login["port"])),
        database=database,
    ).render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.lab)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that nobody has opened yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'records.db'}"
    return str(request.getfixturevalue("server_url"))
