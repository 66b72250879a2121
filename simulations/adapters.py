"""The harness's own way to keys and data, by the recovery identity's connections: to seed, and to verify later."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Self

from integrations.registry import open_adapter
from playbooks.ports import Clock
from playbooks.refs import KeyRef


class Adapters:
    """Adapters opened once each from connections; a context manager that closes them."""

    def __init__(self, connections: Mapping[str, Mapping[str, Any]], *, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock
        self._open: dict[tuple[str, str, str], Any] = {}
        self._lock = threading.Lock()

    def find(self, room: str, scheme: str, connection: str) -> Any:
        """The adapter of a scheme for a connection."""
        place = (room, scheme, connection)
        with self._lock:
            if place not in self._open:
                options = {name: value for name, value in self._connections[connection].items() if name != "type"}
                self._open[place] = open_adapter(room, scheme, name=connection, options=options, clock=self._clock)
            return self._open[place]

    def keys(self, key: KeyRef) -> Any:
        """The backend that wraps under a key."""
        return self.find("keys", key.scheme, key.connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        for adapter in self._open.values():
            adapter.close()
