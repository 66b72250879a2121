"""The usage attributes that a move cleared, kept so that a crash between the change and its receipt loses no undo.

Beside the PIN's file, ``PIN.MOVE.HASH`` (mode 0600, HASH of the key's label) holds what the move ``disable`` or
``stop-encryption`` found set.  It is written and synced before the token is asked, and removed when use is allowed
again.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from integrations.secrets import read_secret, write_secret
from playbooks.errors import InvalidInput

Usage = dict[str, dict[str, bool]]
"""Object class → attribute → value."""


class KeptUsage:
    """What each move found on each key; nothing is kept when the PIN's reference is no file."""

    def __init__(self, pin: str) -> None:
        self._pin = pin if pin.startswith("file:") and "#" not in pin else ""

    def add(self, label: str, move: str, usage: Usage) -> Usage:
        """Keep what is about to be cleared, with what an earlier try of the same move kept; returns both together."""
        both = self.read(label, move)
        for part, values in usage.items():
            both.setdefault(part, {}).update(values)
        if usage and self._pin:
            write_secret(self._place(label, move), json.dumps(both))
        return both

    def read(self, label: str, move: str) -> Usage:
        """What the move cleared; empty when it was not made, was taken back, or cannot be known."""
        if not self._pin:
            return {}
        try:
            found: Usage = json.loads(read_secret(self._place(label, move)))
        except (InvalidInput, ValueError):
            return {}
        return found

    def forget(self, label: str, move: str) -> None:
        """The move was taken back."""
        if self._pin:
            Path(self._place(label, move).partition(":")[2]).unlink(missing_ok=True)

    def _place(self, label: str, move: str) -> str:
        return f"{self._pin}.{move}.{hashlib.sha256(label.encode()).hexdigest()[:16]}"
