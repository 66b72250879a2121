"""Keys that really wrap, kept in memory, for the stores' tests."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from integrations.data.files import FileStore
from playbooks.errors import Refused, Unreachable
from playbooks.ports import WrappedKey
from playbooks.refs import DatasetRef, KeyRef

OLD = KeyRef.parse("openbao:vault/transit/old")
NEW = KeyRef.parse("openbao:vault/transit/new")
OTHER = KeyRef.parse("aws-kms:prod/1234abcd")


@dataclass
class KeyRing:
    """AES-GCM keys in memory: contexts are bound, a disabled key refuses, a key that is down does not answer."""

    material: dict[KeyRef, AESGCM] = field(default_factory=lambda: {key: _cipher() for key in (OLD, NEW, OTHER)})
    disabled: set[KeyRef] = field(default_factory=set)
    down: set[KeyRef] = field(default_factory=set)

    def wrap(
        self, key: KeyRef, data_keys: Sequence[bytes], *, contexts: Sequence[Mapping[str, str]]
    ) -> list[WrappedKey | Exception]:
        return [self._wrap(key, item, context) for item, context in zip(data_keys, contexts, strict=True)]

    def unwrap(self, key: KeyRef, wrapped: Sequence[WrappedKey]) -> list[bytes | Exception]:
        return [self._unwrap(key, item) for item in wrapped]

    def _wrap(self, key: KeyRef, data_key: bytes, context: Mapping[str, str]) -> WrappedKey | Exception:
        if error := self._refusal(key):
            return error
        nonce = os.urandom(12)
        return WrappedKey(nonce + self.material[key].encrypt(nonce, data_key, _bound(context)), context)

    def _unwrap(self, key: KeyRef, item: WrappedKey) -> bytes | Exception:
        if error := self._refusal(key):
            return error
        try:
            return self.material[key].decrypt(item.blob[:12], item.blob[12:], _bound(item.context))
        except (InvalidTag, ValueError):
            return Refused(f"{key} did not wrap this", subject=str(key), code="wrong-key")

    def _refusal(self, key: KeyRef) -> Exception | None:
        if key in self.down:
            return Unreachable(f"{key} does not answer", subject=str(key))
        if key in self.disabled:
            return Refused(f"{key} is disabled", subject=str(key), code="disabled")
        return None


class RewrappingKeyRing(KeyRing):
    """A key ring that can also move data keys from key to key inside."""

    def __init__(self) -> None:
        super().__init__()
        self.rewrapped = 0

    def rewrap(self, wrapped: Sequence[WrappedKey], *, old: KeyRef, new: KeyRef) -> list[WrappedKey | Exception]:
        answers: list[WrappedKey | Exception] = []
        for item in wrapped:
            data_key = self._unwrap(old, item)
            answers.append(data_key if isinstance(data_key, Exception) else self._wrap(new, data_key, item.context))
        self.rewrapped += sum(isinstance(answer, WrappedKey) for answer in answers)
        return answers


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileStore]:
    (tmp_path / "invoices").mkdir()
    store = FileStore.open("docs", {"root": str(tmp_path)}, clock=lambda: datetime.now(UTC))
    yield store
    store.close()


@pytest.fixture
def invoices() -> DatasetRef:
    return DatasetRef.parse("files:docs/invoices")


def _cipher() -> AESGCM:
    return AESGCM(AESGCM.generate_key(256))


def _bound(context: Mapping[str, str]) -> bytes:
    return json.dumps(dict(context), sort_keys=True).encode()
