"""How long a key may protect, and by when it is to be replaced (NIST SP 800-57 Part 1 r5 §5.3)."""

from __future__ import annotations

from datetime import UTC, date, timedelta

from playbooks.estate import KeyEntry
from playbooks.keys import KeyFacts, KeyState

USUAL_DAYS = {"encrypt": 730, "sign": 1095}
"""Without a cryptoperiod in the inventory: two years of encryption, three of signing, the longest of §5.3.6."""


def protecting_since(entry: KeyEntry, facts: KeyFacts | None) -> date | None:
    """The day (UTC) on which what protects now came into use: the backend's word, else the inventory's."""
    if facts is not None and facts.protecting_since is not None:
        return facts.protecting_since.astimezone(UTC).date()
    return entry.protecting_since


def rotate_by(entry: KeyEntry, facts: KeyFacts | None) -> date | None:
    """The last day of the cryptoperiod; None when the key's age is not known, or it was read and protects nothing."""
    since = protecting_since(entry, facts)
    if since is None or (facts is not None and facts.state is not KeyState.ACTIVE):
        return None
    days = entry.cryptoperiod_days or USUAL_DAYS[facts.purpose if facts else entry.purpose]
    return since + timedelta(days=min(days, (date.max - since).days))
