"""Finds keys that exist but are not in the inventory: nobody contains what nobody knows."""

from __future__ import annotations

from dataclasses import dataclass

from flows.wiring import Wiring
from integrations.registry import key_schemes
from playbooks.errors import InvalidInput
from playbooks.refs import KeyRef


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key that a backend holds, and whether the inventory lists it."""

    key: KeyRef
    listed: bool


def discover_keys(wiring: Wiring, connection: str = "") -> list[FoundKey]:
    """List the keys of one connection, or of all that hold keys.

    Raises InvalidInput for an unknown connection, and the backend's own error when it cannot be read.
    """
    configured = wiring.settings.connections
    if connection and connection not in configured:
        raise InvalidInput(
            f"there is no connection {connection!r}.", hint=f"Configured: {', '.join(sorted(configured)) or 'none'}."
        )
    listed = {entry.ref for entry in wiring.estate.keys}
    found = []
    for name in [connection] if connection else sorted(configured):
        for scheme in key_schemes(str(configured[name].get("type", ""))):
            backend = wiring.keys(KeyRef(scheme, name, "*"))
            found += [FoundKey(key, key in listed) for key in backend.list_keys()]
    return found
