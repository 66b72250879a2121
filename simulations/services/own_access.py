"""What a service may use itself: its connections with its own credentials, opened again when something changed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from integrations.registry import open_adapter
from integrations.secrets import read_secret, write_secret
from playbooks.ports import Wraps
from playbooks.refs import CredentialRef, KeyRef
from simulations.journals import WorkloadConfig

_REOPEN_SECONDS = 0.5


class OwnAccess:
    """The service's adapters and settings.

    ``refresh`` drops every adapter when a credential file or ``settings.json`` was replaced, or after a refusal,
    at most every half second.
    """

    def __init__(self, config: WorkloadConfig) -> None:
        self._config = config
        self._open: dict[tuple[str, str, str], Any] = {}
        self._watched = [config.settings / "settings.json", config.credential_file, *_secret_files(config.connections)]
        self._seen = self._marks()
        self._settings = self._read_settings()
        self._refused = False
        self._reopened = time.monotonic()

    def setting(self, name: str, default: str = "") -> str:
        """A value of ``settings.json`` as last read."""
        return self._settings.get(name, default)

    def refresh(self) -> bool:
        """Look for changes; True when everything will be opened anew."""
        marks = self._marks()
        again = self._refused and time.monotonic() - self._reopened > _REOPEN_SECONDS
        if marks == self._seen and not again:
            return False
        changed = marks != self._seen
        self._seen, self._settings = marks, self._read_settings()
        self._refused, self._reopened = False, time.monotonic()
        self.close()
        return changed

    def note_refusal(self) -> None:
        """Something was refused: open the clients again soon."""
        self._refused = True

    def find(self, room: str, scheme: str, connection: str) -> Any:
        """The adapter of a scheme for one of the service's own connections."""
        place = (room, scheme, connection)
        if place not in self._open:
            self._open[place] = open_adapter(
                room, scheme, name=connection, options=self._options(connection), clock=lambda: datetime.now(UTC)
            )
        return self._open[place]

    def keys(self, key: KeyRef) -> Wraps:
        """The backend that wraps under a key."""
        found: Wraps = self.find("keys", key.scheme, key.connection)
        return found

    def close(self) -> None:
        """Close every adapter."""
        while self._open:
            self._open.popitem()[1].close()

    def _options(self, connection: str) -> dict[str, Any]:
        options = {name: value for name, value in self._config.connections[connection].items() if name != "type"}
        role = self._settings.get("credential", "")
        if role.startswith("postgres-role:") and CredentialRef.parse(role).connection == connection:
            options["dsn"] = self._login_as(CredentialRef.parse(role), str(options["dsn"]))
        return options

    def _login_as(self, role: CredentialRef, reference: str) -> str:
        """A reference to the conninfo with the login and the password that were delivered."""
        from psycopg.conninfo import make_conninfo

        password = read_secret(f"file:{self._config.credential_file}")
        own = f"file:{self._config.credential_file}.conninfo"
        write_secret(own, make_conninfo(read_secret(reference), user=role.path, password=password))
        return own

    def _read_settings(self) -> dict[str, str]:
        path = self._config.settings / "settings.json"
        if not path.exists():
            return {}
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def _marks(self) -> list[tuple[int, int]]:
        return [_mark(path) for path in self._watched]


def _secret_files(connections: Mapping[str, Mapping[str, Any]]) -> Iterator[Path]:
    for options in connections.values():
        for value in options.values():
            if isinstance(value, str) and value.startswith("file:"):
                yield Path(value.removeprefix("file:").partition("#")[0])


def _mark(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_ino)
