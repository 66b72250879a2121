"""Finds signatures that a signing service never made, in the log of somebody who verified and accepted them.

Two NDJSON files: the relying party's ``verifications`` (``at``, ``artifact_sha256``, ``key_spki_sha256``, ``accepted``,
``source``) and the signer's own ``ledger`` (``at``, ``artifact_sha256``).  An accepted artifact that the ledger does
not know means that somebody else can use the signing key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from integrations.reports import read_options
from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from playbooks.ports import Clock


class SignatureLogOptions(BaseModel):
    """Options of a detector of type ``signature-log``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: str = "signature-log"
    name: str = ""
    verifications: Path = Field(description="What the relying party verified.")
    ledger: Path = Field(description="What the signer signed.")
    grace_seconds: float = Field(default=2.0, ge=0, description="How long the ledger may lag behind.")


class SignatureLog:
    """One signal a key, at the first accepted signature that its owner never made.

    The cursor is JSON: the byte offset in ``verifications``, and the keys that were reported.
    """

    def __init__(self, name: str, options: SignatureLogOptions, *, clock: Clock) -> None:
        self._name = name
        self._options = options
        self._clock = clock

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Validate the options; the files may appear later.  Raises InvalidInput naming the field."""
        return cls(name, read_options(SignatureLogOptions, name, options), clock=clock)

    def close(self) -> None:
        """Nothing is held open."""

    def poll(self, *, cursor: str) -> tuple[Sequence[Signal], str]:
        """Read on from the cursor ("" is the beginning).

        A line that is not yet complete, or that may still be ahead of the ledger, is left for the next call.
        """
        offset, reported = _read_cursor(cursor)
        entries = list(_lines(self._options.verifications, offset))
        # The ledger is read after the log: whatever was signed before it was verified is in it by then.
        known = {_text(entry, "artifact_sha256") for entry, _ in _lines(self._options.ledger, 0)}
        signals: list[Signal] = []
        now = self._clock()
        for entry, end in entries:
            if entry.get("accepted") is True and _text(entry, "artifact_sha256") not in known:
                at = _time(entry)
                if at is not None and now - at < timedelta(seconds=self._options.grace_seconds):
                    break
                key = _text(entry, "key_spki_sha256")
                if key and key not in reported:
                    reported.append(key)
                    signals.append(self._signal(entry, key, at, now))
            offset = end
        return signals, json.dumps({"offset": offset, "reported": reported})

    def _signal(self, entry: Mapping[str, Any], key: str, at: datetime | None, now: datetime) -> Signal:
        artifact = _text(entry, "artifact_sha256")
        return Signal(
            source=self._name,
            external_id=artifact,
            kind=ExposureKind.SIGNING_KEY,
            fingerprints=(Fingerprint(kind="spki-sha256", value=key),),
            summary=f"A signature over artifact {artifact[:12]} was accepted, but its signer never made it.",
            observed_at=now,
            first_seen=at,
            confidence=0.95,
            evidence_uri=self._options.verifications.absolute().as_uri(),
        )


def _read_cursor(cursor: str) -> tuple[int, list[str]]:
    if not cursor:
        return 0, []
    try:
        found = json.loads(cursor)
        return int(found["offset"]), [str(key) for key in found["reported"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput("the cursor of a signature log is not one that it gave out") from error


def _lines(path: Path, offset: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Complete lines with the offset after each; a line that is no JSON object comes as an empty one."""
    if not path.exists():
        return
    with path.open("rb") as stream:
        if offset > path.stat().st_size:
            offset = 0  # the log was rotated
        stream.seek(offset)
        for line in stream:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {}
            yield (entry if isinstance(entry, dict) else {}), offset


def _text(entry: Mapping[str, Any], name: str) -> str:
    return str(entry.get(name, "")).lower()


def _time(entry: Mapping[str, Any]) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(entry.get("at")))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
