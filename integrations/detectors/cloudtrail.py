"""Watches the KMS call trail for access keys that are used by a program or from a place that is not theirs.

Reads CloudTrail's LookupEvents.  On AWS an event shows up to 15 minutes late, so this detector is never the fastest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from integrations.reports import read_options
from integrations.vendors.aws import AwsConnection, access_key_id, client
from integrations.vendors.aws_trail import TrailEvent, lookup
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from playbooks.ports import Clock

_WORKED, _REFUSED = 0.85, 0.6
_OVERLAP = timedelta(seconds=5)
_SWEEP = timedelta(seconds=60)


class CloudTrailOptions(BaseModel):
    """Options of a detector of type ``cloudtrail``.

    ``approved`` maps an access key id to what its owner uses: beginnings of user agents (``Boto3/``), and addresses or
    networks (``10.1.0.0/16``).  A call must match one of each kind that is listed.  Keys that are not listed have no
    known owner to compare with and are not judged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: str = "cloudtrail"
    name: str = ""
    connection: dict[str, Any]
    approved: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    lateness_seconds: float = Field(default=900, gt=0, description="How late an event may appear.")


class CloudTrail:
    """One signal for each access key and each program or place that is new to it; never for the recovery identity.

    The confidence is 0.85 when the call worked and 0.6 when it was refused.  The cursor is JSON: the newest time read,
    the time of the last sweep over the whole lateness, and what was reported.
    """

    def __init__(self, name: str, options: CloudTrailOptions, *, clock: Clock) -> None:
        self._name = name
        self._options = options
        self._clock = clock
        self._connection = AwsConnection.read(name, options.connection)
        self._opened: Any = None

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Validate the options; nothing is called yet.  Raises InvalidInput naming the field."""
        return cls(name, read_options(CloudTrailOptions, name, options), clock=clock)

    def __repr__(self) -> str:
        return f"CloudTrail({self._name!r})"

    def close(self) -> None:
        """Give up the connections."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def check(self) -> str:
        """Reads the newest events.  Raises as ``poll``."""
        self._events(self._clock() - _SWEEP)
        return f"the trail can be read; {len(self._options.approved)} access keys are watched"

    def poll(self, *, cursor: str) -> tuple[Sequence[Signal], str]:
        """Read the events since the cursor ("" is one lateness ago); late ones are found by a sweep a minute.

        Raises Throttled (LookupEvents allows two calls a second), Refused or Unreachable.
        """
        now = self._clock()
        lateness = timedelta(seconds=self._options.lateness_seconds)
        state: dict[str, Any] = json.loads(cursor) if cursor else {}
        newest = _time(state.get("newest")) or now - lateness
        swept = _time(state.get("swept"))
        reported: list[str] = state.get("reported", [])
        since = newest - min(_OVERLAP, lateness)
        if swept is None or now - swept >= _SWEEP:
            since, swept = min(since, now - lateness), now
        signals: list[Signal] = []
        for event in reversed(list(self._events(since))):
            newest = max(newest, event.at)
            mark = f"{event.access_key_id} {event.user_agent.partition(' ')[0]} {event.source}"
            if mark not in reported and self._is_strange(event):
                reported = [*reported, mark]
                signals.append(self._signal(event, now))
        return signals, json.dumps({"newest": newest.isoformat(), "swept": swept.isoformat(), "reported": reported})

    def _events(self, since: datetime) -> Sequence[TrailEvent]:
        if self._opened is None:
            self._opened = client(self._connection, "cloudtrail")
        source = ("EventSource", "kms.amazonaws.com")
        return list(lookup(self._opened, since=since, attribute=source, subject=f"detector {self._name}"))

    def _is_strange(self, event: TrailEvent) -> bool:
        approved = self._options.approved.get(event.access_key_id)
        recovery = event.principal == self._connection.recovery_principal
        if not approved or recovery or event.access_key_id == access_key_id(self._connection.credential):
            return False
        places = [entry for entry in approved if _is_network(entry)]
        agents = [entry for entry in approved if not _is_network(entry)]
        known_agent = not agents or any(event.user_agent.startswith(agent) for agent in agents)
        known_place = not places or any(_is_within(event.source, place) for place in places)
        return not (known_agent and known_place)

    def _signal(self, event: TrailEvent, now: datetime) -> Signal:
        agent = event.user_agent.partition(" ")[0][:60] or "an unnamed program"
        how = f"was refused ({event.error_code})" if event.error_code else "worked"
        return Signal(
            source=self._name,
            external_id=event.event_id,
            kind=ExposureKind.CREDENTIAL,
            fingerprints=(Fingerprint(kind="access-key-id", value=event.access_key_id),),
            summary=f"{event.access_key_id} called {event.name} from {event.source} with {agent}, which is not its "
            f"owner's way; the call {how}.",
            observed_at=now,
            first_seen=event.at,
            confidence=_REFUSED if event.error_code else _WORKED,
            evidence_uri=f"cloudtrail:{event.event_id}",
        )


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _is_within(source: str, network: str) -> bool:
    """AWS services call from a name, for example ``s3.amazonaws.com``: that is within no network."""
    try:
        return ip_address(source) in ip_network(network, strict=False)
    except ValueError:
        return False
