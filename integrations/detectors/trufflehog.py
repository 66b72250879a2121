"""Reads TruffleHog 3 findings (``trufflehog … --json``): NDJSON in one file, or in every ``*.json*`` of a folder.

The secret of a finding is hashed as soon as its line is parsed; it is neither kept nor logged.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from integrations.fingerprints import installation_key, keyed, spki_sha256
from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from playbooks.ports import Clock

_log = logging.getLogger(__name__)
_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,124}\b")
_VAULT_TOKEN = re.compile(r"^(?:hv[sbr]\.|[sbr]\.)[A-Za-z0-9_-]{20,}$")
_PLACES = ("repository", "commit", "file", "link", "bucket", "key", "path", "line")

# A finding whose value is nobody's in the estate becomes no exposure, so this is about exact matches only.
_VERIFIED, _UNVERIFIED = 0.95, 0.8


class TruffleHogOptions(BaseModel):
    """Options of a detector of type ``trufflehog``: exactly one of ``file`` and ``folder``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: str = "trufflehog"
    name: str = ""
    file: Path | None = None
    folder: Path | None = None
    key_file: Path | None = Field(
        default=None,
        description="The installation's key; without it only AWS keys, tokens and PEM keys are recognised.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> TruffleHogOptions:
        if (self.file is None) == (self.folder is None):
            raise ValueError("give either file or folder")
        return self


class TruffleHog:
    """One signal a finding; the same secret at the same place is the same finding.

    The cursor is JSON: per file its inode and the byte offset of the first line that was not read.
    """

    def __init__(self, name: str, options: TruffleHogOptions, *, clock: Clock) -> None:
        self._name = name
        self._options = options
        self._clock = clock
        self._key = installation_key(options.key_file) if options.key_file else None

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Validate the options; findings may appear later.  Raises InvalidInput naming the field."""
        try:
            return cls(name, TruffleHogOptions.model_validate(dict(options)), clock=clock)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"]) or "file"
            raise InvalidInput(f"detector {name!r}, field {field!r}: {first['msg']}") from None

    def __repr__(self) -> str:
        return f"TruffleHog({self._name!r})"

    def close(self) -> None:
        """Nothing is held open."""

    def poll(self, *, cursor: str) -> tuple[Sequence[Signal], str]:
        """Read on from the cursor ("" is the beginning); a last line that is still being written is left."""
        places: dict[str, list[int]] = json.loads(cursor) if cursor else {}
        signals: dict[str, Signal] = {}
        for path in self._files():
            inode, offset = places.get(path.name, [0, 0])
            status = path.stat()
            if status.st_ino != inode or status.st_size < offset:
                offset = 0
            for finding, end in _findings(path, offset):
                offset = end
                signal = self._signal(finding)
                if signal is not None:
                    signals.setdefault(signal.external_id, signal)
            places[path.name] = [status.st_ino, offset]
        return list(signals.values()), json.dumps(places)

    def _files(self) -> list[Path]:
        if self._options.file is not None:
            return [self._options.file] if self._options.file.is_file() else []
        folder = self._options.folder
        found = folder.glob("*.*json*") if folder is not None and folder.is_dir() else ()
        return sorted(path for path in found if path.is_file() and not path.name.startswith("."))

    def _signal(self, finding: Mapping[str, Any]) -> Signal | None:
        """The finding without its secret; None when it holds none."""
        raw = str(finding.get("Raw") or finding.get("RawV2") or "").strip()
        if not raw:
            return None
        kind, fingerprints = self._fingerprint(finding, raw)
        where, first_seen = _where(finding, hide=(raw, str(finding.get("RawV2") or raw)))
        detector = re.sub(r"[^\w .-]", "", str(finding.get("DetectorName", "")))[:60] or "unnamed"
        verified = finding.get("Verified") is True
        identity = [detector, where, *(fingerprint.value for fingerprint in fingerprints)]
        return Signal(
            source=self._name,
            external_id=hashlib.sha256("\n".join(identity).encode()).hexdigest(),
            kind=kind,
            fingerprints=fingerprints,
            summary=f"TruffleHog found a {'verified' if verified else 'possible'} {detector} secret in {where}.",
            observed_at=self._clock(),
            first_seen=first_seen,
            confidence=_VERIFIED if verified else _UNVERIFIED,
            evidence_uri=where,
        )

    def _fingerprint(self, finding: Mapping[str, Any], raw: str) -> tuple[ExposureKind, tuple[Fingerprint, ...]]:
        if "-----BEGIN" in raw:
            try:
                return ExposureKind.SIGNING_KEY, (spki_sha256(raw),)
            except InvalidInput:
                return ExposureKind.KEY_MATERIAL, self._keyed(raw)
        texts = [str(finding.get(field) or "") for field in ("Redacted", "Raw", "RawV2")]
        access_keys = dict.fromkeys(found for text in texts for found in _ACCESS_KEY.findall(text))
        if access_keys:
            return ExposureKind.CREDENTIAL, tuple(Fingerprint(kind="access-key-id", value=key) for key in access_keys)
        if _VAULT_TOKEN.match(raw):
            token = Fingerprint(kind="token-sha256", value=hashlib.sha256(raw.encode()).hexdigest())
            return ExposureKind.CREDENTIAL, (token, *self._keyed(raw))
        return ExposureKind.CREDENTIAL, self._keyed(raw)

    def _keyed(self, raw: str) -> tuple[Fingerprint, ...]:
        return (keyed(raw, self._key),) if self._key is not None else ()


def _findings(path: Path, offset: int) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Each finding with the offset behind its line."""
    with path.open("rb") as stream:
        stream.seek(offset)
        for line in stream:
            offset += len(line)
            try:
                finding = json.loads(line)
            except ValueError:
                if not line.endswith(b"\n"):
                    return
                if line.strip():
                    _log.warning("%s: the line that ends at byte %d is no finding", path.name, offset)
                finding = {}
            yield finding if isinstance(finding, dict) else {}, offset


def _where(finding: Mapping[str, Any], *, hide: Sequence[str]) -> tuple[str, datetime | None]:
    """Where it was found, free of the secret and of logins in addresses, and since when."""
    data = (finding.get("SourceMetadata") or {}).get("Data") or {}
    place = next((value for value in data.values() if isinstance(value, dict)), {})
    text = " ".join(str(place[name]) for name in _PLACES if place.get(name))
    for secret in hide:
        text = text.replace(secret, "…")
    text = re.sub(r"//[^/@\s]*@", "//", text) or str(finding.get("SourceName") or "an unnamed place")
    try:
        first_seen = datetime.strptime(str(place.get("timestamp", "")), "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        first_seen = None
    return text[:400], first_seen
