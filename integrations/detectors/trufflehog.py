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
from typing import Any

from integrations.findings import classify
from integrations.hooks import parse_json
from integrations.reports import ReportReader
from playbooks.errors import InvalidInput
from playbooks.exposures import Signal

_log = logging.getLogger(__name__)
_PLACES = ("repository", "commit", "file", "link", "bucket", "key", "path", "line")

# A finding whose value is nobody's in the estate becomes no exposure, so this is about exact matches only.
_VERIFIED, _UNVERIFIED = 0.95, 0.8


class TruffleHog(ReportReader):
    """One signal a finding; the same secret at the same place is the same finding.

    The cursor is JSON: per file its inode and the byte offset of the first line that was not read.
    """

    def poll(self, *, cursor: str) -> tuple[Sequence[Signal], str]:
        """Read on from the cursor ("" is the beginning); a last line that is still being written is left."""
        if not self._options.has_place:
            raise InvalidInput(f"detector {self._name!r} has nothing to poll: it has neither file nor folder")
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

    def read(self, document: bytes) -> Sequence[Signal]:
        """The findings of one whole output.  Raises InvalidInput naming the line that is none."""
        signals: dict[str, Signal] = {}
        for number, line in enumerate(document.splitlines(), start=1):
            if line.strip():
                finding = parse_json(line, sender=f"{self._name}, line {number}")
                if not isinstance(finding, dict):
                    raise InvalidInput(f"line {number} for {self._name} is no finding of TruffleHog's")
                signal = self._signal(finding)
                signals.update({signal.external_id: signal} if signal is not None else {})
        return list(signals.values())

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
        beside = [str(finding.get(field) or "") for field in ("Redacted", "Raw", "RawV2")]
        kind, fingerprints = classify(raw, key=self._key, beside=beside)
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


def _findings(path: Path, offset: int) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Each finding with the offset behind its line."""
    with path.open("rb") as stream:
        stream.seek(offset)
        for line in stream:
            offset += len(line)
            try:
                finding = parse_json(line, sender=path.name)
            except InvalidInput:
                if not line.endswith(b"\n"):
                    return
                if line.strip():
                    _log.warning("%s: the line that ends at byte %d is no finding", path.name, offset)
                finding = {}
            yield finding if isinstance(finding, dict) else {}, offset


def _where(finding: Mapping[str, Any], *, hide: Sequence[str]) -> tuple[str, datetime | None]:
    """Where it was found, free of the secret and of logins in addresses, and since when."""
    metadata = finding.get("SourceMetadata")
    data = metadata.get("Data") if isinstance(metadata, dict) else None
    places = data.values() if isinstance(data, dict) else ()
    place: Mapping[str, Any] = next((value for value in places if isinstance(value, dict)), {})
    text = " ".join(str(place[name]) for name in _PLACES if place.get(name))
    for secret in hide:
        text = text.replace(secret, "…")
    text = re.sub(r"//[^/@\s]*@", "//", text) or str(finding.get("SourceName") or "an unnamed place")
    try:
        first_seen = datetime.strptime(str(place.get("timestamp", "")), "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        first_seen = None
    return text[:400], first_seen
