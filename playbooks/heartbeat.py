"""When a detector has been silent for too long: it may be broken, cut off, or turned off by the attacker.

One that is polled is heard whenever a poll succeeds, whatever it found.  One that is sent to us is heard when something
genuine arrives, and only its owner knows how often that should be: without ``expect_every_seconds`` it may be silent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from playbooks.errors import InvalidInput

FIELD = "expect_every_seconds"
"""Of any entry of ``detectors``: it must be heard at least so often."""

POLL_LIMIT = timedelta(seconds=300)
"""For how long the polls of a detector may fail in a row, unless its entry says otherwise."""

_LONGEST_SECONDS = 366 * 86400.0


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is known of a detector's life; ``since`` is when listening to it began."""

    since: datetime
    polled: bool
    expected_every: timedelta | None = None
    last_heard: datetime | None = None

    @property
    def limit(self) -> timedelta | None:
        """How long it may be silent; None: for ever."""
        return self.expected_every or (POLL_LIMIT if self.polled else None)

    def silence(self, now: datetime) -> str:
        """Why it counts as silent; "" when it does not.

        A process that was down heard nobody: right after its start there is time to speak up, the limit or five
        minutes.
        """
        start = self.last_heard or self.since
        if self.limit is None or now - start <= self.limit or now - self.since <= min(self.limit, POLL_LIMIT):
            return ""
        what = "no poll has succeeded" if self.polled else "nothing has arrived"
        return f"{what} for {_spoken(now - start)}, and {_spoken(self.limit)} are the most"


def expected_every(entry: Mapping[str, Any]) -> timedelta | None:
    """What an entry of ``detectors`` says about how often it must be heard; None when it says nothing.

    Raises InvalidInput when that is not a number of seconds, above 0 and at most a year.
    """
    value = entry.get(FIELD)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST_SECONDS:
        name = entry.get("name", entry.get("type"))
        raise InvalidInput(
            f"detector {name!r}, field {FIELD!r}: must be a number of seconds, above 0 and at most a year"
        )
    return timedelta(seconds=value)


def _spoken(span: timedelta) -> str:
    seconds = span.total_seconds()
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
