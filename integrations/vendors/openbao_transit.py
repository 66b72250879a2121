"""OpenBao transit in batches: encrypt, decrypt and rewrap, with every item's own error.

A listener takes at most 1000 JSON strings a request by default, and a rewrap that failed in part is HTTP 200 (2.7):
batches are chunked and each item's ``error`` is read.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from integrations.vendors.openbao import OpenBaoSession, meaning, mount_and_name
from playbooks.errors import BackendError, IntegrityFailure, Refused
from playbooks.ports import WrappedKey
from playbooks.refs import KeyRef

BATCH = 249
"""Items a request: four strings each stay below the listener's limit of 1000."""

Item = dict[str, str]


class TransitBatches:
    """Wraps, unwraps and rewraps data keys through one session.

    A context is bound as associated data (canonical JSON), or as the derivation context of a *derived* key.
    """

    def __init__(self, session: OpenBaoSession) -> None:
        self._session = session
        self._derived: dict[KeyRef, bool] = {}

    def wrap(
        self, key: KeyRef, data_keys: Sequence[bytes], contexts: Sequence[Mapping[str, str]]
    ) -> list[WrappedKey | Exception]:
        """Encrypt data keys under the key's current version."""
        try:
            derived = self._is_derived(key)
        except BackendError as error:
            return [error] * len(data_keys)
        items = [
            {"plaintext": _text(data_key), **_binding(context, derived)}
            for data_key, context in zip(data_keys, contexts, strict=True)
        ]
        answers = self._batch("encrypt", key, items, "ciphertext")
        return [
            answer if isinstance(answer, Exception) else WrappedKey(answer.encode("ascii"), dict(context))
            for answer, context in zip(answers, contexts, strict=True)
        ]

    def unwrap(self, key: KeyRef, wrapped: Sequence[WrappedKey]) -> list[bytes | Exception]:
        """Decrypt wrapped data keys of any version that the key still serves."""
        try:
            derived = self._is_derived(key)
        except BackendError as error:
            return [error] * len(wrapped)
        return self._mapped(
            wrapped,
            lambda item: {"ciphertext": _ciphertext(item), **_binding(item.context, derived)},
            lambda items: [
                answer if isinstance(answer, Exception) else b64decode(answer)
                for answer in self._batch("decrypt", key, items, "plaintext")
            ],
        )

    def rewrap(self, wrapped: Sequence[WrappedKey], old: KeyRef, new: KeyRef) -> list[WrappedKey | Exception]:
        """Move wrapped data keys to ``new``, or to the newest version when both are the same key.

        Inside one key the server does it and no plaintext leaves, except for items bound by associated data, which its
        rewrap ignores: those, and all moves between two keys, are decrypted and encrypted in batches in this process.
        """
        if old == new:
            try:
                if self._is_derived(old) or not any(item.context for item in wrapped):
                    return self._rewrap_inside(old, wrapped)
            except BackendError as error:
                return [error] * len(wrapped)
        opened = self.unwrap(old, wrapped)
        places = [place for place, answer in enumerate(opened) if isinstance(answer, bytes)]
        plain = [answer for answer in opened if isinstance(answer, bytes)]
        moved = self.wrap(new, plain, [wrapped[place].context for place in places])
        results: list[WrappedKey | Exception] = [
            answer if isinstance(answer, Exception) else IntegrityFailure("not moved") for answer in opened
        ]
        for place, answer in zip(places, moved, strict=True):
            results[place] = answer
        return results

    def _rewrap_inside(self, key: KeyRef, wrapped: Sequence[WrappedKey]) -> list[WrappedKey | Exception]:
        derived = self._is_derived(key)
        answers = self._mapped(
            wrapped,
            lambda item: {"ciphertext": _ciphertext(item), **_binding(item.context, derived)},
            lambda items: self._batch("rewrap", key, items, "ciphertext"),
        )
        return [
            answer if isinstance(answer, Exception) else WrappedKey(answer.encode("ascii"), item.context)
            for answer, item in zip(answers, wrapped, strict=True)
        ]

    def _mapped(
        self,
        wrapped: Sequence[WrappedKey],
        make: Callable[[WrappedKey], Item],
        run: Callable[[list[Item]], list[Any]],
    ) -> list[Any]:
        """Run a batch over the well-formed blobs; the others are integrity failures in their place."""
        results: list[Any] = [None] * len(wrapped)
        places, items = [], []
        for place, item in enumerate(wrapped):
            try:
                items.append(make(item))
                places.append(place)
            except UnicodeDecodeError:
                results[place] = IntegrityFailure("the blob is not an OpenBao ciphertext.", code="not-ascii")
        for place, answer in zip(places, run(items), strict=True):
            results[place] = answer
        return results

    def _batch(self, operation: str, key: KeyRef, items: Sequence[Item], wanted: str) -> list[str | BackendError]:
        mount, name = mount_and_name(key)
        results: list[str | BackendError] = []
        for start in range(0, len(items), BATCH):
            chunk = items[start : start + BATCH]
            try:
                answer = self._session.call(
                    "POST", f"{mount}/{operation}/{name}", subject=key, body={"batch_input": chunk}
                )
            except BackendError as error:
                results += [error] * len(chunk)
                continue
            results += _items(answer.data.get("batch_results") or [], len(chunk), wanted, key)
        return results

    def _is_derived(self, key: KeyRef) -> bool:
        """Is the key derived?  Asked once; a consumer that may not read the key's settings is answered no."""
        if key not in self._derived:
            mount, name = mount_and_name(key)
            try:
                config = self._session.call("GET", f"{mount}/keys/{name}", subject=key).data
            except Refused:
                return False
            self._derived[key] = bool(config.get("derived"))
        return self._derived[key]


def _items(rows: Sequence[Mapping[str, Any]], count: int, wanted: str, key: KeyRef) -> list[str | BackendError]:
    if len(rows) != count:
        short = IntegrityFailure(f"OpenBao answered {len(rows)} of {count} items.", subject=str(key), code="short")
        return [short] * count
    return [
        meaning(str(row["error"]), subject=str(key)) if row.get("error") else str(row.get(wanted) or "") for row in rows
    ]


def canonical(context: Mapping[str, str]) -> bytes:
    """The bytes a context is bound as: JSON, keys sorted, no spaces, UTF-8."""
    return json.dumps(dict(context), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _binding(context: Mapping[str, str], derived: bool) -> Item:
    if derived:
        return {"context": _text(canonical(context))}
    return {"associated_data": _text(canonical(context))} if context else {}


def _ciphertext(item: WrappedKey) -> str:
    return item.blob.decode("ascii")


def _text(data: bytes) -> str:
    return b64encode(data).decode("ascii")
