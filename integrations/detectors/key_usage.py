"""Watches how keys are used: more often than they ever were at such an hour, or by somebody nobody approved.

Reads the trail through the key backend's own ``usage`` (AWS KMS through CloudTrail, which is up to 15 minutes late).
Needs what that needs: for AWS ``kms:DescribeKey`` and ``cloudtrail:LookupEvents``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from integrations.registry import open_adapter
from integrations.reports import read_options
from playbooks.errors import BackendError, InvalidInput
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from playbooks.ports import Clock, ReadsUsage, UsageEvent
from playbooks.refs import KeyRef
from playbooks.usage_baseline import Baseline, caller, hour_of, unapproved

_VOLUME, _UNAPPROVED, _NEW = 0.5, 0.7, 0.5
_REPORTED = 100


class KeyUsageOptions(BaseModel):
    """Options of a detector of type ``key-usage``.

    ``keys`` are of one connection, which is ``connection``.  ``approved`` are the principals that may use them (``*``
    stands for any text); when there are none, those that are seen while the history is gathered are taken as approved.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: str = "key-usage"
    name: str = ""
    connection: dict[str, Any]
    keys: tuple[KeyRef, ...] = Field(min_length=1, max_length=200)
    approved: tuple[str, ...] = ()
    history_days: int = Field(default=28, ge=1, le=90, description="How far back the baseline looks.")
    min_history_hours: float = Field(default=72, gt=0, description="With less history nothing is called unusual.")
    lateness_seconds: float = Field(default=900, ge=0, description="How late an event may appear in the trail.")
    every_seconds: float = Field(default=60, gt=0, description="How often the trail is read.")

    @field_validator("keys")
    @classmethod
    def _of_one_connection(cls, keys: tuple[KeyRef, ...]) -> tuple[KeyRef, ...]:
        if len({(key.scheme, key.connection) for key in keys}) > 1:
            raise ValueError("all keys must be of one connection")
        return keys


@dataclass(frozen=True, slots=True)
class Reading:
    """What the detector has read of one key: its baseline up to ``read_at``."""

    read_at: datetime
    baseline: Baseline


def readings(cursor: str) -> dict[str, Reading]:
    """What a cursor of this detector knows, by the key's URI; empty for "".

    Raises InvalidInput when the text is no such cursor.
    """
    try:
        keys = json.loads(cursor)["keys"] if cursor else {}
        found = {key: state for key, state in keys.items() if state}
        return {key: Reading(datetime.fromisoformat(state["read"]), _baseline(state)) for key, state in found.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput("what the detector kept of its readings cannot be read.") from error


class KeyUsage:
    """One signal for each unusual hour of a key, and one for each principal that is not approved.

    Their confidence is modest (0.5; 0.7 for a principal that is not on the list), so that alone they ask a person.
    The cursor is JSON: when the trail was read last, and for each key that too, the hourly counts of ``history_days``,
    the principals and the last hundred findings.
    """

    def __init__(self, name: str, options: KeyUsageOptions, *, clock: Clock) -> None:
        self._name = name
        self._options = options
        self._clock = clock
        self._opened: Any = None

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Validate the options; nothing is called yet.  Raises InvalidInput naming the field."""
        return cls(name, read_options(KeyUsageOptions, name, options), clock=clock)

    def __repr__(self) -> str:
        return f"KeyUsage({self._name!r})"

    def close(self) -> None:
        """Give up the connection."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def poll(self, *, cursor: str) -> tuple[Sequence[Signal], str]:
        """Read the trail, unless that was done within ``every_seconds``; "" reads the whole history.

        A key that cannot be read holds up no other: it is read again, and its error raised, once nothing else is found.
        Raises InvalidInput when the backend keeps no trail, and Throttled, Refused or Unreachable as the backend says.
        """
        now = self._clock()
        state: dict[str, Any] = json.loads(cursor) if cursor else {}
        last = datetime.fromisoformat(state["read"]) if "read" in state else None
        if last is not None and timedelta(0) <= now - last < timedelta(seconds=self._options.every_seconds):
            return (), cursor
        known: dict[str, Any] = state.get("keys", {})
        signals: list[Signal] = []
        keys: dict[str, Any] = {}
        fault: BackendError | None = None
        for key in self._options.keys:
            before = known.get(str(key), {})
            try:
                found, keys[str(key)] = self._look(key, before, now=now)
                signals += found
            except BackendError as error:
                fault, keys[str(key)] = fault or error, before
        if fault is not None and not signals:
            raise fault
        return signals, json.dumps({"read": now.isoformat(), "keys": keys})

    def _look(self, key: KeyRef, state: Mapping[str, Any], *, now: datetime) -> tuple[list[Signal], dict[str, Any]]:
        before = _baseline(state)
        last = datetime.fromisoformat(state["read"]) if state else None
        history = timedelta(days=self._options.history_days)
        late = timedelta(seconds=self._options.lateness_seconds)
        since = max(last - late, now - history) if last is not None else now - history
        since = datetime.fromtimestamp(hour_of(since) * 3600, since.tzinfo)
        events = [each for each in self._backend().usage(key, since=since) if self._counts(each)]
        baseline = before.after(events, since=since, keep=history)
        reported: list[str] = list(state.get("reported", []))
        signals = []
        for mark, signal in self._findings(key, before, baseline, events, now=now, first=not state):
            if mark not in reported:
                reported.append(mark)
                signals.append(signal)
        kept = {
            "read": now.isoformat(),
            "hours": {str(hour): count for hour, count in baseline.hours.items()},
            "began": baseline.began,
            "principals": list(baseline.principals),
            "reported": reported[-_REPORTED:],
        }
        return signals, kept

    def _findings(
        self,
        key: KeyRef,
        before: Baseline,
        baseline: Baseline,
        events: Sequence[UsageEvent],
        *,
        now: datetime,
        first: bool,
    ) -> Iterator[tuple[str, Signal]]:
        least = timedelta(hours=self._options.min_history_hours)
        recent = now - timedelta(seconds=self._options.lateness_seconds) - timedelta(hours=1)
        for hour in baseline.unusual(since=recent, least=least):
            text = f"was used {hour.uses} times in the hour from {hour.hour:%Y-%m-%d %H:%M} UTC; up to {hour.bound:.0f}"
            mark = f"volume {hour.hour:%Y-%m-%dT%H}"
            summary = f"Unusual volume: {key} {text} are usual."
            yield mark, self._signal(key, mark, summary, _VOLUME, seen=hour.hour, now=now)
        approved = self._options.approved
        if not approved and (first or not before.mature(hour_of(now), least=least)):
            return
        confidence, why = (_UNAPPROVED, "is not approved") if approved else (_NEW, "never used it before")
        for each in unapproved(events, approved or before.principals):
            mark = f"principal {each.principal}"
            how = f"{each.first.operation} from {each.first.source or 'an unnamed place'}"
            summary = f"Unapproved principal: {each.principal} used {key} ({how}), and {why}."
            yield mark, self._signal(key, mark, summary, confidence, seen=each.first.at, now=now)

    def _counts(self, event: UsageEvent) -> bool:
        """The recovery identity's own calls are ours; they must neither alarm nor become usual."""
        own = str(self._options.connection.get("recovery_principal", ""))
        return not own or caller(event.principal) != caller(own)

    def _signal(
        self, key: KeyRef, mark: str, summary: str, confidence: float, *, seen: datetime, now: datetime
    ) -> Signal:
        return Signal(
            source=self._name,
            external_id=hashlib.sha256(f"{key} {mark}".encode()).hexdigest(),
            kind=ExposureKind.POLICY,
            fingerprints=(Fingerprint(kind="key-uri", value=str(key)),),
            summary=summary,
            observed_at=now,
            first_seen=seen,
            confidence=confidence,
            evidence_uri=f"{self._name}:{mark}",
        )

    def _backend(self) -> ReadsUsage:
        if self._opened is None:
            first = self._options.keys[0]
            opened = open_adapter(
                "keys", first.scheme, name=first.connection, options=self._options.connection, clock=self._clock
            )
            if not isinstance(opened, ReadsUsage):
                opened.close()
                raise InvalidInput(f"detector {self._name!r}, field 'keys': {first.scheme} keeps no trail of use")
            self._opened = opened
        backend: ReadsUsage = self._opened
        return backend


def _baseline(state: Mapping[str, Any]) -> Baseline:
    return Baseline(
        hours={int(hour): int(count) for hour, count in state.get("hours", {}).items()},
        began=state.get("began"),
        principals=tuple(state.get("principals", ())),
    )
