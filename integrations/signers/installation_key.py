"""The installation's own signing key: Ed25519, kept in the state folder, readable by its owner alone.

It shows that whoever could read the state folder signed, no more; a key in an HSM says more.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from integrations.signers.signatures import ED25519
from playbooks.errors import RecordError

FILE = "evidence.key"


class InstallationKey:
    """Signs with the key of one state folder; the key is made when it is first needed."""

    key = "installation"
    algorithm = ED25519

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.public_key = pem.decode()

    @classmethod
    def open(cls, state: Path) -> InstallationKey:
        """The key of this state folder, made (mode 0600, synced) when there is none.

        Raises RecordError when the file is no Ed25519 key, cannot be read, or others may read it.
        """
        place = state / FILE
        try:
            if not place.exists():
                _make(place)
            if place.stat().st_mode & 0o077:
                hint = f"`chmod 600 {place}`, and consider whether somebody has read it."
                raise RecordError(f"{place} can be read by others, so nothing is signed with it.", hint=hint)
            private = load_pem_private_key(place.read_bytes(), password=None)
        except OSError as error:
            raise RecordError(f"the signing key {place} cannot be used ({error.strerror}).") from error
        except (ValueError, TypeError) as error:
            raise RecordError(f"{place} holds no signing key.") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise RecordError(f"{place} is not an Ed25519 key.")
        return cls(private)

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature (RFC 8032), 64 bytes."""
        return self._private.sign(message)


def _make(place: Path) -> None:
    """Write a new key beside and link it into place: of two that do so at once, the first one's stays."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    beside = place.with_name(f".{FILE}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, place)
        except FileExistsError:
            return
    finally:
        beside.unlink()
