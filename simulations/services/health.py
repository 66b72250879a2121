"""A service's ``health.json``: is everything that it does working with what it was last told to use?"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

_EVERY_SECONDS = 0.2


class Health:
    """Remembers the last answer of each kind of request and writes it down about every 0.2 s.

    A service is ok when every kind it must do has worked, and was not refused since, after the last change of its
    settings or credentials.
    """

    def __init__(self, folder: Path, *, kinds: set[tuple[str, str]]) -> None:
        self._path = folder / "health.json"
        self._kinds = kinds
        self._last: dict[tuple[str, str], str] = {}
        self._written = 0.0

    def note(self, kind: tuple[str, str], code: str) -> None:
        """Take the answer to a request; ``code`` is "" when it worked."""
        self._last[kind] = code

    def start_over(self) -> None:
        """Settings or credentials changed: nothing is known to work yet."""
        self._last.clear()

    def write(self, *, credential: str, key: str) -> None:
        """Replace ``health.json`` when it is due."""
        if time.monotonic() - self._written < _EVERY_SECONDS:
            return
        self._written = time.monotonic()
        failing = sorted(f"{operation}: {code}" for (_, operation), code in self._last.items() if code)
        waiting = self._kinds - set(self._last)
        detail = "; ".join(dict.fromkeys(failing)) or (
            "not everything was tried yet" if waiting else "all requests work"
        )
        document = {
            "at": datetime.now(UTC).isoformat(timespec="microseconds"),
            "ok": not failing and not waiting,
            "detail": detail,
            "credential": credential,
            "key": key,
        }
        beside = self._path.with_name(f".health.{os.getpid()}")
        beside.write_text(json.dumps(document), encoding="utf-8")
        beside.replace(self._path)
