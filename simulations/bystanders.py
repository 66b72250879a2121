"""Services beside the workload: a reporting job with a database login, a relying party's front door.

``python -m simulations.bystanders --config FILE`` tries each about five times a second with the credential it was last
given and writes its ``health.json``, until SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psycopg
from pydantic import BaseModel, ConfigDict

from integrations.secrets import read_secret
from playbooks.errors import KeyquellError
from playbooks.refs import CredentialRef

_EVERY_SECONDS = 0.2


class Bystander(BaseModel):
    """One service: ``folder`` is its configuration folder.

    A ``database`` job logs in at ``conninfo`` (host, port, database) as ``role`` with the password in
    ``password_file``, until ``settings.json`` names another role; a ``door`` answers on ``port``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["database", "door"]
    folder: Path
    role: str = ""
    conninfo: str = ""
    password_file: Path = Path()
    port: int = 0


class BystanderConfig(BaseModel):
    """``bystanders.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bystanders: tuple[Bystander, ...]


class Attendance:
    """Tries one service and writes down how it is."""

    def __init__(self, bystander: Bystander) -> None:
        self._of = bystander
        self._role = bystander.role

    def attend(self) -> None:
        """Try once; a failure is an answer, not an error."""
        credential = self._told()
        try:
            self._try()
            fault = ""
        except (psycopg.Error, OSError, KeyquellError) as error:
            fault = type(error).__name__
        document = {
            "at": datetime.now(UTC).isoformat(timespec="microseconds"),
            "ok": not fault,
            "detail": fault or "it works",
            "credential": credential,
            "key": "",
        }
        beside = self._of.folder / ".health.json"
        beside.write_text(json.dumps(document), encoding="utf-8")
        beside.replace(self._of.folder / "health.json")

    def _told(self) -> str:
        """The credential that the settings name now; a database role among them is the login from now on."""
        path = self._of.folder / "settings.json"
        values: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        for name, value in values.items():
            if name.startswith("credential") and value.startswith("postgres-role:"):
                self._role = CredentialRef.parse(value).path
        return values.get("credential", "")

    def _try(self) -> None:
        if self._of.kind == "door":
            with socket.create_connection(("127.0.0.1", self._of.port), timeout=1):
                return
        password = read_secret(f"file:{self._of.password_file}")
        with psycopg.connect(self._of.conninfo, user=self._role, password=password, connect_timeout=2) as connection:
            connection.execute("SELECT count(*) FROM public.orders")


def main() -> None:
    """Read ``--config`` and attend to every service until SIGTERM."""
    parser = argparse.ArgumentParser(description="Services of a drill beside the workload.")
    parser.add_argument("--config", type=Path, required=True)
    text = parser.parse_args().config.read_text(encoding="utf-8")
    services = [Attendance(each) for each in BystanderConfig.model_validate_json(text).bystanders]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(_EVERY_SECONDS):
        for service in services:
            service.attend()


if __name__ == "__main__":
    main()
