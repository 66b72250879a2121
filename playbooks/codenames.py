"""Names that people can say on a call: incident ids and their codenames."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

_ADJECTIVES = (
    "amber autumn azure bold brave bright brisk calm candid cedar clear clever copper coral cosmic crisp "
    "dapper distant eager early easy fabled fair fleet gentle gilded glad golden grand green hardy hazel "
    "honest humble ivory jade jolly keen kind lively lofty lucid lunar mellow merry mild misty modest "
    "nimble noble olive patient placid polar proud quick quiet rapid ready robust rosy ruby rustic sage"
)
_NOUNS = (
    "acorn anchor anvil apple badger bamboo banjo basin beacon birch bison bridge brook canyon castle cello "
    "cherry cliff clover comet compass cricket dolphin falcon fern fjord garden glacier harbor heron hill iris "
    "island kettle kite lagoon lantern lark maple marble meadow mill mountain oak orchard otter pebble pine "
    "planet prairie quartz raven reef river robin saddle spruce summit teapot thistle tulip valley walnut willow"
)
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: nothing that reads like something else


def codename(incident_id: str) -> str:
    """``adjective-noun``, always the same for the same incident id."""
    digest = hashlib.sha256(incident_id.encode()).digest()
    adjectives, nouns = _ADJECTIVES.split(), _NOUNS.split()
    return f"{adjectives[digest[0] % len(adjectives)]}-{nouns[digest[1] % len(nouns)]}"


def new_incident_id(now: datetime, randomness: bytes) -> str:
    """``KQ-YYYYMMDD-xxxx`` with the UTC date and 20 bits taken from ``randomness`` (at least 3 bytes)."""
    if now.tzinfo is None or len(randomness) < 3:
        raise ValueError("an incident id needs an aware time and at least 3 random bytes")
    number = int.from_bytes(randomness[:3], "big")
    letters = "".join(_LETTERS[(number >> shift) & 31] for shift in (15, 10, 5, 0))
    return f"KQ-{now.astimezone(UTC):%Y%m%d}-{letters}"
