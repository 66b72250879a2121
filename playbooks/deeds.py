"""What a single-use link lets a person do with their passkey: approve a plan, take steps back, or end a case."""

from __future__ import annotations

import hashlib
import json
from typing import Literal, get_args

ClosingOutcome = Literal["recovered", "false-alarm", "not-contained"]

APPROVE, UNDO = "approve", "undo"
CONFIRMABLE = rf"^({UNDO}|close:({'|'.join(get_args(ClosingOutcome))}))$"
"""The deeds that take safety away; an approval is an event of its own."""
PATTERN = rf"^{APPROVE}$|{CONFIRMABLE}"


def closing(outcome: ClosingOutcome) -> str:
    """The deed of ending a case so."""
    return f"close:{outcome}"


def outcome_of(deed: str) -> ClosingOutcome | None:
    """How the deed ends the case; None when it does not."""
    return next((each for each in get_args(ClosingOutcome) if deed == closing(each)), None)


def words(deed: str) -> str:
    """The deed in words, after "to"."""
    outcome = outcome_of(deed)
    if outcome is not None:
        return f"end the case as {outcome.replace('-', ' ')}"
    return {APPROVE: "approve the plan", UNDO: "take back what was done"}[deed]


def vouched(incident: str, *, digest: str, deed: str) -> str:
    """The SHA-256, in hex, that a passkey vouches for: the plan's own for an approval, never the same for another deed.

    ``digest`` is the plan's, "" when there is none.
    """
    if deed == APPROVE:
        return digest
    return hashlib.sha256(json.dumps(["keyquell deed", incident, digest, deed]).encode()).hexdigest()
