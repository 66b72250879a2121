"""Fingerprints of leaked material: made at the door, so that the material itself is never kept."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

from blake3 import blake3
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.cmac import CMAC

from playbooks.errors import InvalidInput
from playbooks.exposures import Fingerprint

KEY_BYTES = 32
_CHECK_BYTES = 3


def keyed(secret: str, key: bytes) -> Fingerprint:
    """BLAKE3 keyed with the installation's key (32 bytes): a PIN cannot be guessed from it without that key."""
    return Fingerprint(kind="secret-hmac", value=str(blake3(secret.encode(), key=key).hexdigest()))


def installation_key(path: Path) -> bytes:
    """The installation's key: 32 random bytes, made with mode 0600 when the file does not exist yet.

    A file with 64 hexadecimal digits is read as well.  Two processes that start at once get the same key.
    Raises InvalidInput when the file holds something else or others may read it.
    """
    if not path.exists():
        _make(path)
    if path.stat().st_mode & 0o077:
        raise InvalidInput(f"the installation key {path} may be read by others", hint=f"Run: chmod 600 {path}")
    content = path.read_bytes()
    if len(content) == KEY_BYTES:
        return content
    try:
        key = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidInput(f"the installation key {path} must hold {KEY_BYTES} bytes, or as many in hexadecimal")
    return key


def spki_sha256(pem: str) -> Fingerprint:
    """SHA-256 of the SubjectPublicKeyInfo (DER) behind a PEM private key, public key or certificate.

    Raises InvalidInput when it holds no key that can be read, for example because it is encrypted.
    """
    data = pem.strip().encode()
    try:
        public = _public_key(data)
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm):
        raise InvalidInput("the PEM holds no key that can be read") from None
    return Fingerprint(kind="spki-sha256", value=hashlib.sha256(der).hexdigest())


def key_check_values(material: bytes) -> tuple[Fingerprint, ...]:
    """The two customary check values of an AES key: of the zero block's encryption (PKCS#11) and of its CMAC (TR-31).

    Each is three bytes in hexadecimal.  Empty when the material has not the length of an AES key.
    """
    if len(material) not in (16, 24, 32):
        return ()
    algorithm, block = AES(material), bytes(16)
    encryptor = Cipher(algorithm, ECB()).encryptor()  # noqa: S305 - this is how a check value is defined
    mac = CMAC(algorithm)
    mac.update(block)
    values = (encryptor.update(block), mac.finalize())
    return tuple(Fingerprint(kind="key-check-value", value=value[:_CHECK_BYTES].hex()) for value in values)


def _public_key(data: bytes) -> Any:
    if b"BEGIN CERTIFICATE" in data:
        return x509.load_pem_x509_certificate(data).public_key()
    if b"PUBLIC KEY" in data:
        return serialization.load_pem_public_key(data)
    if b"OPENSSH PRIVATE KEY" in data:
        return serialization.load_ssh_private_key(data, password=None).public_key()
    return serialization.load_pem_private_key(data, password=None).public_key()


def _make(path: Path) -> None:
    """Write beside and link: the name appears whole, and only once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(beside, path)
        except FileExistsError:
            return
    finally:
        beside.unlink()
