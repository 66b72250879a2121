"""Canary sessions: minted from a leaked credential before it is cut, so that their end can be shown afterwards.

A canary lies in ``PATH.session`` (mode 0600) beside the secret reference ``file:PATH`` that it was minted from, so that
a later process can try it too.  Minting never holds the cut up: it is given a second and may fail.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from integrations.secrets import read_secret, write_secret
from playbooks.errors import InvalidInput, KeyquellError

MINT_SECONDS = 1.0
"""How long a cut waits for its canary at most."""


def place_of(secret: str) -> str:
    """Where the canary of a secret reference lies; "" when the secret is not a whole file."""
    return f"{secret}.session" if secret.startswith("file:") and "#" not in secret else ""


def kept(secret: str) -> dict[str, str]:
    """The canary of a secret reference; empty when there is none."""
    with suppress(InvalidInput, ValueError):
        found = json.loads(read_secret(place_of(secret))) if place_of(secret) else {}
        return {str(name): str(value) for name, value in found.items()}
    return {}


def keep(secret: str, canary: Mapping[str, str]) -> None:
    """Write the canary of a secret reference, replacing an older one."""
    write_secret(place_of(secret), canary)


def forget(secret: str) -> None:
    """Remove the canary of a secret reference: an older one would show what is true of another cut."""
    Path(place_of(secret).partition(":")[2]).unlink(missing_ok=True)


def within_a_second(mint: Callable[[], None]) -> None:
    """Run ``mint`` and wait ``MINT_SECONDS`` for it; what goes wrong in it is told later, by the missing canary."""

    def attempt() -> None:
        with suppress(KeyquellError, OSError):
            mint()

    thread = threading.Thread(target=attempt, name="canary", daemon=True)
    thread.start()
    thread.join(MINT_SECONDS)
