"""A certification request (PKCS#10, RFC 2986) for a key that never leaves its token.

``cryptography`` builds requests only with a private key in memory, so the CertificationRequestInfo is put together here
from its parts, signed by the token, and read back: a request whose own signature does not verify is not returned.
"""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from playbooks.errors import IntegrityFailure, InvalidInput

_SEQUENCE, _BIT_STRING = 0x30, 0x03
_VERSION_0 = bytes.fromhex("020100")
_NO_ATTRIBUTES = bytes.fromhex("a000")
_ECDSA_WITH_SHA256 = bytes.fromhex("06082a8648ce3d040302")
_RSA_WITH_SHA256 = bytes.fromhex("06092a864886f70d01010b0500")


def certification_request(subject: str, spki: bytes, sign: Callable[[bytes], bytes]) -> str:
    """The request as PEM.

    ``subject`` is RFC 4514 (``CN=…,O=…``), ``spki`` DER, ``sign`` makes an X.509-style SHA-256 signature of a message.
    Raises InvalidInput for a bad subject, IntegrityFailure when the signature does not fit the public key.
    """
    try:
        name = x509.Name.from_rfc4514_string(subject)
    except ValueError as error:
        raise InvalidInput(
            "the subject is not a distinguished name", hint="Write it like CN=orders,O=Example."
        ) from error
    is_rsa = isinstance(load_der_public_key(spki), RSAPublicKey)
    algorithm = _tlv(_SEQUENCE, _RSA_WITH_SHA256 if is_rsa else _ECDSA_WITH_SHA256)
    info = _tlv(_SEQUENCE, _VERSION_0 + name.public_bytes() + spki + _NO_ATTRIBUTES)
    der = _tlv(_SEQUENCE, info + algorithm + _tlv(_BIT_STRING, b"\x00" + sign(info)))
    if not x509.load_der_x509_csr(der).is_signature_valid:
        raise IntegrityFailure("the token's signature does not verify under the public key it shows.")
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode("ascii"), 64))
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n"


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
