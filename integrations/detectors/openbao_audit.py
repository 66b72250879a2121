"""OpenBao's file audit log as a detector: key material that left, and keys used by those who are not approved.

The audit log shows accessors as HMACs unless its device has ``hmac_accessor = "false"``.  With a connection, an HMAC is
resolved by hashing the live accessors (``sys/audit-hash``); that needs ``list`` on ``auth/token/accessors`` with
``sudo``, ``update`` on ``sys/audit-hash/*`` and ``read`` on ``sys/audit`` with ``sudo``.  Unresolved, a finding names
the key only.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from integrations.options import read_options
from integrations.vendors.openbao import OpenBaoConnection, OpenBaoSession
from playbooks.errors import BackendError, InvalidInput, Unavailable
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from playbooks.ports import Clock
from playbooks.refs import KeyRef

_HMAC = "hmac-sha256:"
_LINES_A_POLL = 50_000
_EXPORTS = re.compile(r"(?:export/[^/]+|byok-export/[^/]+|backup)/([^/]+)(?:/.*)?")
_USES = re.compile(r"(?:encrypt|decrypt|rewrap|sign|hmac|datakey/[^/]+)/([^/]+)(?:/.*)?")


class OpenBaoAuditOptions(BaseModel):
    """Options of the detector; ``approved`` and ``ignore_accessors`` hold accessors in clear."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(description="The audit device's file.")
    mount: str = "transit"
    keys: tuple[str, ...] = Field(default=(), description="Names of the watched keys; empty: all of the mount.")
    approved: tuple[str, ...] = Field(
        default=(), description="Policies or accessors that may use the keys; empty: use is not judged."
    )
    ignore_accessors: tuple[str, ...] = Field(default=(), description="Tokens whose requests are skipped altogether.")
    connection: OpenBaoConnection | None = None
    connection_name: str = Field(default="vault", description="The connection's name in the KeyRefs of the estate.")
    device: str = Field(default="", description="The audit device's name; empty: found by its file.")


class OpenBaoAudit:
    """Reads the audit log from a cursor and makes Signals of what succeeded."""

    def __init__(self, name: str, options: OpenBaoAuditOptions, clock: Clock) -> None:
        self._name = name
        self._options = options
        self._clock = clock
        self._session = OpenBaoSession(name, options.connection) if options.connection else None
        self._accessors: dict[str, str] = {}
        self._own = ""

    def __repr__(self) -> str:
        return f"OpenBaoAudit({self._name!r}, {str(self._options.path)!r})"

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Open with ``OpenBaoAuditOptions``; InvalidInput names the detector and the wrong field."""
        return cls(name, read_options(OpenBaoAuditOptions, f"detectors.{name}", options), clock)

    def close(self) -> None:
        """Close the session, if there is one."""
        if self._session:
            self._session.close()

    def check(self) -> str:
        """Opens the file, and looks the token up where there is a connection.

        Raises Unavailable when the file cannot be read; Refused or Unreachable for what the server answers.
        """
        place = self._options.path
        try:
            place.open("rb").close()
        except OSError as error:
            hint = "Give its audit device's file, and the right to read it."
            raise Unavailable(f"{place} cannot be read ({error.strerror}).", subject=self._name, hint=hint) from error
        if self._session is None:
            return f"{place} can be read; hashed accessors stay unknown without a connection"
        self._session.call("GET", "auth/token/lookup-self")
        return f"{place} can be read, and the connection's token works"

    def poll(self, *, cursor: str) -> tuple[Sequence[Signal], str]:
        """New signals and the next cursor; a line still being written waits for the next call.

        A rotated file is finished under its new name when it is still in the folder; a truncated one is read from its
        start.  An empty cursor reads from the beginning.
        """
        reader = _Tail(self._options.path, cursor)
        needle = f'"{self._options.mount}/'.encode()
        signals: dict[str, Signal] = {}
        for line in reader.lines():
            if b'"response"' in line and needle in line:
                signal = self._judge(line)
                if signal is not None:
                    signals.setdefault(signal.external_id, signal)
        return list(signals.values()), reader.cursor()

    def _judge(self, line: bytes) -> Signal | None:
        entry = _entry(line)
        path = str(entry.get("request", {}).get("path", ""))
        mount = f"{self._options.mount}/"
        if entry.get("type") != "response" or not path.startswith(mount) or not _succeeded(entry):
            return None
        rest = path.removeprefix(mount)
        exported, used = _EXPORTS.fullmatch(rest), _USES.fullmatch(rest)
        match = exported or used
        if match is None or (self._options.keys and match[1] not in self._options.keys):
            return None
        accessor = self._resolve(str(entry.get("auth", {}).get("accessor") or ""))
        if accessor and accessor in {*self._options.ignore_accessors, self._own_accessor()}:
            return None
        if exported:
            return self._signal(entry, match[1], accessor, ExposureKind.KEY_MATERIAL)
        holders = {accessor, *(entry.get("auth", {}).get("policies") or ())}
        if not self._options.approved or holders & set(self._options.approved):
            return None
        return self._signal(entry, match[1], accessor, ExposureKind.CREDENTIAL)

    def _signal(self, entry: Mapping[str, Any], key_name: str, accessor: str, kind: ExposureKind) -> Signal:
        request = entry["request"]
        key = KeyRef("openbao", self._options.connection_name, f"{self._options.mount}/{key_name}")
        fingerprints = [Fingerprint(kind="key-uri", value=str(key))] if kind is ExposureKind.KEY_MATERIAL else []
        if accessor:
            fingerprints.append(Fingerprint(kind="token-accessor", value=accessor))
        who = f"the token {accessor}" if accessor else "a token whose accessor is not known"
        came = f"{who} from {request.get('remote_address', 'an unknown address')}"
        at = _time(str(entry.get("time", ""))) or self._clock()
        if kind is ExposureKind.KEY_MATERIAL:
            summary, identity, confidence = f"{came} took the material of {key} out.", str(request.get("id")), 1.0
        else:
            summary, confidence = f"{came} used {key} and is not approved for it.", 0.8
            identity = f"use:{accessor or request.get('client_id', '')}:{key}"
        return Signal(
            source=self._name,
            external_id=identity,
            kind=kind,
            fingerprints=tuple(fingerprints),
            summary=summary[:1].upper() + summary[1:],
            observed_at=self._clock(),
            first_seen=at,
            confidence=confidence,
            evidence_uri=self._options.path.absolute().as_uri(),
        )

    # --- accessors -------------------------------------------------------------------------------

    def _own_accessor(self) -> str:
        """The accessor of this detector's own connection, "" when it has none or cannot tell."""
        if self._session and not self._own:
            try:
                self._own = str(self._session.call("GET", "auth/token/lookup-self").data.get("accessor", ""))
            except BackendError:
                return ""
        return self._own

    def _resolve(self, accessor: str) -> str:
        """The accessor in clear; "" when it is hashed and nobody can tell whose it is."""
        if not accessor.startswith(_HMAC):
            return accessor
        if accessor not in self._accessors and self._session:
            try:
                self._learn(self._session)
            except BackendError:
                return ""
        return self._accessors.get(accessor, "")

    def _learn(self, session: OpenBaoSession) -> None:
        """Hash every live accessor that is not known yet."""
        device = self._options.device or self._device(session)
        known = set(self._accessors.values())
        live = session.call("LIST", "auth/token/accessors/").data.get("keys", [])
        for accessor in {*live, *self._options.ignore_accessors, *self._options.approved} - known:
            answer = session.call("POST", f"sys/audit-hash/{device}", body={"input": accessor})
            self._accessors[str(answer.data["hash"])] = accessor

    def _device(self, session: OpenBaoSession) -> str:
        for path, facts in session.call("GET", "sys/audit").data.items():
            if isinstance(facts, dict) and (facts.get("options") or {}).get("file_path") == str(self._options.path):
                return str(path).rstrip("/")
        raise InvalidInput(
            f"detector {self._name}: no audit device of the server writes {self._options.path}",
            hint="Set the option device to the device's name.",
        )


class _Tail:
    """Complete lines of a growing file from a cursor on; the cursor names the file by inode and the byte offset."""

    def __init__(self, path: Path, cursor: str) -> None:
        self._path = path
        self._inode, self._offset = _read_cursor(cursor)

    def cursor(self) -> str:
        """Where to go on."""
        return json.dumps({"inode": self._inode, "offset": self._offset}) if self._inode else ""

    def lines(self) -> Iterator[bytes]:
        """New complete lines, without keeping the file open between calls."""
        if not self._path.exists():
            return
        if self._inode and self._inode != self._path.stat().st_ino:
            rotated = self._rotated()
            if rotated is not None:
                yield from self._from(rotated, sys.maxsize)
            self._offset = 0
        self._inode = self._path.stat().st_ino
        if self._path.stat().st_size < self._offset:
            self._offset = 0
        yield from self._from(self._path, _LINES_A_POLL)

    def _from(self, path: Path, limit: int) -> Iterator[bytes]:
        with path.open("rb") as stream:
            stream.seek(self._offset)
            for _ in range(limit):
                line = stream.readline()
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield line

    def _rotated(self) -> Path | None:
        beside = self._path.parent.glob(f"{self._path.name}*")
        return next((path for path in beside if path.is_file() and path.stat().st_ino == self._inode), None)


def _read_cursor(cursor: str) -> tuple[int, int]:
    if not cursor:
        return 0, 0
    try:
        found = json.loads(cursor)
        return int(found["inode"]), int(found["offset"])
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput("the cursor of an audit log is not one that it gave out") from error


def _entry(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) and isinstance(entry.get("request"), dict) else {}


def _succeeded(entry: Mapping[str, Any]) -> bool:
    """Was the request answered?  A refused try exposes nothing."""
    data = (entry.get("response") or {}).get("data") or {}
    return not entry.get("error") and "error" not in data


def _time(text: str) -> datetime | None:
    """RFC 3339 with nanoseconds, as OpenBao writes it."""
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).astimezone(UTC)
    except ValueError:
        return None
