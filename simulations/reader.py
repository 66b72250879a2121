"""The independent reader of a drill: objects are opened with the vendors' own libraries, not with our codecs.

``unwrap(provider, wrapped, context)`` gives the data key of a wrapped one; ``provider`` is "PROVIDER/INFO" as the
object names it (for an ESDK file), or "" (for a Tink value, which names nothing).  Needs ``aws-encryption-sdk`` and
``tink``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, BinaryIO

import aws_encryption_sdk
import tink
from aws_encryption_sdk import CommitmentPolicy
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError, DecryptKeyError
from aws_encryption_sdk.key_providers.base import MasterKeyProvider, MasterKeyProviderConfig
from aws_encryption_sdk.structures import DataKey
from cryptography.exceptions import InvalidTag
from tink import aead

from playbooks.errors import IntegrityFailure

Unwrap = Callable[[str, bytes, Mapping[str, str]], bytes]
"""Provider and key info, wrapped data key, context → data key; raises when the key does not open it."""

aead.register()


class _Unwrapping(MasterKeyProvider):  # type: ignore[misc]  # the SDK is untyped
    """Opens data keys of any provider through the reader's own callable."""

    provider_id = "keyquell-reader"
    _config_class = MasterKeyProviderConfig

    def __init__(self, **_config: Any) -> None:
        self.unwrap: Unwrap | None = None

    def _new_master_key(self, key_id: str) -> None:
        raise NotImplementedError(f"the reader never encrypts (asked for {key_id})")

    def decrypt_data_key_from_list(self, encrypted_data_keys: Any, algorithm: Any, encryption_context: Any) -> Any:
        """Try every wrapped data key; the last refusal is the reason when none opens."""
        last: Exception | None = None
        for entry in encrypted_data_keys:
            provider = entry.key_provider
            named = f"{provider.provider_id}/{provider.key_info.decode(errors='replace')}"
            try:
                assert self.unwrap is not None  # noqa: S101 - set right after construction
                data_key = self.unwrap(named, entry.encrypted_data_key, encryption_context)
            except Exception as error:  # noqa: BLE001 - the next data key may open; the last reason is raised below
                last = error
                continue
            return DataKey(key_provider=provider, data_key=data_key, encrypted_data_key=entry.encrypted_data_key)
        raise DecryptKeyError("no wrapped data key could be opened") from last


class _Remote(aead.Aead):  # type: ignore[misc]  # Tink is untyped
    """The key backend as Tink sees it."""

    def __init__(self, unwrap: Unwrap) -> None:
        self._unwrap = unwrap

    def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes:
        """The reader never encrypts."""
        raise tink.TinkError("the reader never encrypts")

    def decrypt(self, ciphertext: bytes, associated_data: bytes) -> bytes:
        """Unwrap a data key."""
        return self._unwrap("", ciphertext, {})


def read_esdk(source: BinaryIO | bytes, *, unwrap: Unwrap) -> tuple[bytes, dict[str, str]]:
    """Plaintext and encryption context of an AWS Encryption SDK message, by the official SDK.

    Raises IntegrityFailure when it does not open.
    """
    client = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
    provider = _Unwrapping()
    provider.unwrap = unwrap
    stream = BytesIO(source) if isinstance(source, bytes) else source
    try:
        plaintext, header = client.decrypt(source=stream, key_provider=provider)
    except (AWSEncryptionSDKClientError, InvalidTag) as error:
        raise _unreadable("the official AWS Encryption SDK", error) from error
    return plaintext, dict(header.encryption_context)


def read_tink(value: bytes, *, row_id: str, unwrap: Unwrap) -> bytes:
    """Plaintext of a Tink KmsEnvelopeAead value bound to a row, by the official Tink.

    Raises IntegrityFailure when it does not open.
    """
    envelope = aead.KmsEnvelopeAead(aead.aead_key_templates.AES256_GCM, _Remote(unwrap))
    try:
        return bytes(envelope.decrypt(value, row_id.encode()))
    except tink.TinkError as error:
        raise _unreadable("the official Tink", error) from error


def _unreadable(library: str, error: Exception) -> IntegrityFailure:
    return IntegrityFailure(
        f"{library} cannot open this object ({type(error).__name__}).",
        code=type(error).__name__,
        hint="Compare it with the seeded plaintext's census entry.",
    )
