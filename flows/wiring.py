"""The composition root: from settings to open adapters, the estate, the catalog and the record."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any

from flows.anchor_entries import options_of
from flows.documents import load_estate, load_roster
from flows.settings import Settings, load_settings, name_of
from integrations.records.sql import SqlRecords
from integrations.registry import open_adapter
from playbooks.authority import Authority
from playbooks.desk import Desk
from playbooks.errors import InvalidInput, NotFound
from playbooks.estate import Estate
from playbooks.heartbeat import FIELD as EXPECT_EVERY
from playbooks.heartbeat import expected_every
from playbooks.incident import Incident
from playbooks.playbook import Playbook, catalog
from playbooks.ports import Clock, Delivers
from playbooks.record import INSTALLATION, EventKind
from playbooks.refs import CertificateRef, CredentialRef, DatasetRef, KeyRef
from playbooks.roster import Roster
from playbooks.surfaces import Pages, Shows

_NAMED = 8
"""So many incidents are named where another one is asked for, the latest."""
_REMEMBERED = 256
"""Incidents that are kept as last read: a response asks for its own about twenty times before it is contained."""


_OURS = (EXPECT_EVERY, "fallback")
"""Options of any entry that are for us and not for its adapter."""


def system_clock() -> datetime:
    """The time now, in UTC; the only real clock of the response."""
    return datetime.now(UTC)


class Wiring:
    """Everything that a response needs, opened on first use and kept until ``close``; safe for threads."""

    def __init__(self, settings: Settings, *, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.records = SqlRecords.open(settings.records_url, clock=clock)
        self._adapters: dict[tuple[str, str, str], Any] = {}
        self._locks: dict[tuple[str, str, str], threading.Lock] = {}
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._incidents: dict[str, Incident] = {}
        self._estate: tuple[tuple[int, int, int] | None, Estate] | None = None
        self._removed: tuple[int, frozenset[str]] = (-1, frozenset())
        self._roster: tuple[tuple[int, int, int] | None, Roster] | None = None

    @classmethod
    def open(cls, settings: Settings, *, clock: Clock = system_clock) -> Wiring:
        """Make the state folder and open the record."""
        settings.state.mkdir(parents=True, exist_ok=True)
        return cls(settings, clock=clock)

    @classmethod
    def from_file(cls, path: Path | None) -> Wiring:
        """Open with the settings of a file, on the real clock."""
        return cls.open(load_settings(path))

    @property
    def estate(self) -> Estate:
        """The inventory as it is on disk now.  Raises InvalidInput naming the file and the field."""
        place = self.settings.estate
        seen = (found.st_mtime_ns, found.st_size, found.st_ino) if (found := _stat(place)) else None
        with self._reading:
            if self._estate is None or self._estate[0] != seen:
                self._estate = (seen, load_estate(place))
            return self._estate[1]

    @property
    def roster(self) -> Roster | None:
        """Who may do what, as it is on disk now; None when none is configured.

        Raises InvalidInput naming the file and the field.
        """
        place = self.settings.roster
        if place is None:
            return None
        seen = (found.st_mtime_ns, found.st_size, found.st_ino) if (found := _stat(place)) else None
        if self._roster is None or seen is None or self._roster[0] != seen:
            self._roster = (seen, load_roster(place))
        return self._roster[1]

    def authority(self) -> Authority:
        """Whose yes counts now; nobody's when the roster cannot be read."""
        try:
            roster = self.roster
            return Authority(roster, self.clock(), removed=self._removed_passkeys() if roster else frozenset())
        except InvalidInput as error:
            return Authority(None, self.clock(), broken=error.message)

    def _removed_passkeys(self) -> frozenset[str]:
        """Ids of passkeys that count no more, ever; only what the installation's chain has grown by is read."""
        seq, removed = self._removed
        for event in self.records.events_after(INSTALLATION, seq):
            seq = event.seq
            if event.kind is EventKind.PASSKEY_REMOVED:
                removed |= {str(event.body["credential_id"])}
        self._removed = (seq, removed)
        return removed

    @cached_property
    def catalog(self) -> Mapping[str, Playbook]:
        """The playbooks by name."""
        return catalog()

    def incident(self, incident_id: str) -> Incident:
        """The incident as its events tell it.  Raises InvalidInput when there is none of this id."""
        known = self._incidents.get(incident_id)
        events = self.records.events_after(incident_id, known.events - 1 if known else -1)
        if known is None and not events:
            known_ids = self.records.incidents()
            latest = ", ".join(known_ids[-_NAMED:]) or "none yet"
            more = f", and {len(known_ids) - _NAMED:,} older ones" if len(known_ids) > _NAMED else ""
            raise InvalidInput(f"there is no incident {incident_id!r}.", hint=f"Known incidents: {latest}{more}.")
        if known is None:
            known = Incident.of(events)
        elif events:
            known = known.after(events)
        self._incidents[incident_id] = known
        while len(self._incidents) > _REMEMBERED:
            self._incidents.pop(next(iter(self._incidents)), None)
        return known

    def keys(self, key: KeyRef) -> Any:
        """The key backend behind a reference."""
        return self._adapter("keys", key.scheme, key.connection)

    def signing_keys(self, key: KeyRef) -> Any:
        """The backend behind a key that signs evidence: apart from ``keys``, so that no response waits for it."""
        return self._open("keys", key.scheme, key.connection, self._plain(key.connection), use="evidence")

    def credentials(self, credential: CredentialRef) -> Any:
        """The adapter that can cut, renew and probe a credential."""
        return self._adapter("credentials", credential.scheme, credential.connection)

    def data(self, dataset: DatasetRef) -> Any:
        """The store of a dataset."""
        return self._adapter("data", dataset.scheme, dataset.connection)

    def certificates(self, certificate: CertificateRef) -> Any:
        """The issuer of a certificate."""
        return self._adapter("certificates", certificate.scheme, certificate.connection)

    def consumer(self, name: str) -> Any:
        """The channel by which a consumer is told; InvalidInput when the estate names none."""
        return self._channel("consumers", name)

    def artifacts(self, consumer: str) -> Any:
        """The signed artifacts of a signer, through the same channel."""
        return self._channel("artifacts", consumer)

    def parts(self, room: str) -> dict[str, Callable[[], Any]]:
        """What the settings list in ``detectors``, ``messengers``, ``pagers``, ``siem``, ``traces``, ``anchors`` or
        ``surfaces``, by name.

        Each is opened when it is called, so that a faulty entry spoils only itself.
        """
        listed: dict[str, tuple[Mapping[str, Any], ...]] = {
            "detectors": self.settings.detectors,
            "messengers": self.settings.messengers,
            "pagers": self.settings.pagers,
            "siem": self.settings.siem,
            "anchors": self.settings.anchors,
            "traces": ({**self.settings.traces, "type": "otlp"},) if self.settings.traces else (),
            "surfaces": ({**self.settings.slack, "type": "slack"},) if self.settings.slack else (),
        }
        return {name_of(each): partial(self._part, room, each) for each in listed[room]}

    def detector(self, name: str) -> Any:
        """The configured detector of this name: it polls, hears or reads.  Raises NotFound when there is none."""
        found = self.parts("detectors")
        if name not in found:
            known = ", ".join(found) or "none"
            raise NotFound(f"no detector is called {name!r}.", subject=name, hint=f"Configured: {known}.")
        return found[name]()

    def messengers(self) -> dict[str, Delivers]:
        """The configured messengers by name."""
        return {name: opened() for name, opened in self.parts("messengers").items()}

    def fallbacks(self) -> frozenset[str]:
        """Names of the messengers marked ``fallback: true``: they take only what the others fail to take."""
        marked = (each for each in self.settings.messengers if each.get("fallback") is True)
        return frozenset(map(name_of, marked))

    def surfaces(self) -> dict[str, Shows]:
        """The configured boards by name; the chat is one of them."""
        return {name: opened() for name, opened in self.parts("surfaces").items()}

    def chat(self, desk: Desk) -> Any:
        """The configured chat's listener, which speaks to the desk; None when there is none."""
        if not self.settings.slack:
            return None
        from integrations.slack.app import SlackApp

        return SlackApp.open("slack", self.settings.slack, desk=desk, clock=self.clock)

    def pagers(self) -> dict[str, Pages]:
        """The configured pagers by name."""
        return {name: opened() for name, opened in self.parts("pagers").items()}

    def close(self) -> None:
        """Close every adapter and the record."""
        for adapter in list(self._adapters.values()):  # background work may open one meanwhile
            adapter.close()
        self._adapters.clear()
        self.records.close()

    def __enter__(self) -> Wiring:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _part(self, room: str, entry: Mapping[str, Any]) -> Any:
        """Open one entry with the options that are its adapter's own."""
        expected_every(entry)
        options = {key: value for key, value in entry.items() if key not in ("type", "name", *_OURS)}
        if room == "anchors":
            options = options_of(self.settings, entry, options)
        if room in ("detectors", "anchors") and "connection" in options:
            options["connection"] = self._plain(str(options["connection"]))
        return self._open(room, str(entry.get("type")), name_of(entry), options)

    def _adapter(self, room: str, scheme: str, connection: str) -> Any:
        return self._open(room, scheme, connection, self._plain(connection))

    def _channel(self, room: str, consumer: str) -> Any:
        for entry in self.estate.consumers:
            if entry.name == consumer and entry.channel:
                kind = str(self._options(entry.channel).get("type", ""))
                return self._adapter(room, kind, entry.channel)
        raise InvalidInput(f"the consumer {consumer!r} has no channel in the estate.", hint="Tell its owner by hand.")

    def _plain(self, connection: str) -> dict[str, Any]:
        return {key: value for key, value in self._options(connection).items() if key != "type"}

    def _open(self, room: str, scheme: str, name: str, options: Mapping[str, Any], *, use: str = "") -> Any:
        """The one adapter of this name in a room; of another ``use``, another one."""
        place = (room + use, scheme, name)
        with self._lock:
            lock = self._locks.setdefault(place, threading.Lock())
        with lock:
            if place not in self._adapters:
                self._adapters[place] = open_adapter(room, scheme, name=name, options=options, clock=self.clock)
            return self._adapters[place]

    def _options(self, connection: str) -> dict[str, Any]:
        if connection not in self.settings.connections:
            known = ", ".join(sorted(self.settings.connections)) or "none"
            raise InvalidInput(
                f"{self.settings.source}: connections: there is none called {connection!r}.",
                hint=f"Configured: {known}.",
            )
        return self.settings.connections[connection]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
