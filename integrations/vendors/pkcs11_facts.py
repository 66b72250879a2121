"""What a token's facts of a key mean: its purpose, its state, and since when it protects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from playbooks.keys import KeyState

PROTECTS = {"ENCRYPT", "WRAP"}
"""Attributes by which something new goes under a key."""


def purpose_of(found: Mapping[str, Any]) -> Literal["encrypt", "sign"]:
    """What a key is for, also when it is disabled: VERIFY of the public half is never cleared."""
    usage = {name for values in found["usage"].values() for name, value in values.items() if value}
    if found["kind"].startswith("EC"):
        return "sign"
    if found["kind"].startswith("RSA") and not usage & {"ENCRYPT", "DECRYPT", "WRAP", "UNWRAP"} and found["verifies"]:
        return "sign"
    return "encrypt"


def protecting_since(found: Mapping[str, Any]) -> datetime | None:
    """The start date (CKA_START_DATE) at midnight UTC, if the key has one.

    Tokens set none by themselves, and we set none: SoftHSM 2.6 cannot read that of a private object afterwards.
    """
    return datetime.fromisoformat(found["start_date"]).replace(tzinfo=UTC) if found["start_date"] else None


def state_of(found: Mapping[str, Any], purpose: str) -> KeyState:
    """The state that the usage attributes amount to."""
    usage = {name for values in found["usage"].values() for name, value in values.items() if value}
    if purpose == "sign":
        return KeyState.ACTIVE if "SIGN" in usage else KeyState.SUSPENDED
    if usage & PROTECTS:
        return KeyState.ACTIVE
    return KeyState.DEACTIVATED if usage & {"DECRYPT", "UNWRAP"} else KeyState.SUSPENDED
