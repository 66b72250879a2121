"""What a checkpoint signs: a few lines of text that a person can read and any tool can verify.

A statement begins with its own name, so that no signature over it is one over a manifest, which begins with a brace.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from playbooks.event_bodies import CheckpointSigned

_TITLE = "keyquell checkpoint 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """The record of ``incident`` up to event ``seq`` has the hash ``head``; said by the key of ``fingerprint``."""

    incident: str
    seq: int
    head: str
    key: str
    fingerprint: str

    @property
    def text(self) -> str:
        """The signed text; line feeds end its lines."""
        return (
            f"{_TITLE}\nincident: {self.incident}\nevent: {self.seq}\nhead: {self.head}\n"
            f"key: {self.key}\npublic-key-sha256: {self.fingerprint}\n"
        )


def sealed(checkpoint: CheckpointSigned) -> bytes:
    """Statement and signature in one text: what is laid down elsewhere and stamped with a time."""
    return f"{checkpoint.statement}signature: {checkpoint.signature}\n".encode()


def signature_of(checkpoint: CheckpointSigned) -> bytes:
    """The signature; ValueError when it is not base64."""
    return base64.b64decode(checkpoint.signature, validate=True)
