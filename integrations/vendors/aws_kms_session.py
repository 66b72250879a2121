"""An open connection to KMS: calls, tags, batches, receipts, and probes from fresh sessions."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Literal, Self, TypeVar, cast

from integrations.vendors.aws import AwsConnection, Pace, client, outsider, translated
from integrations.vendors.aws_kms_facts import signing_algorithm
from integrations.vendors.aws_receipts import AwsReceipts
from playbooks.errors import BackendError, Refused, Unavailable
from playbooks.ports import Clock
from playbooks.receipts import Outcome, ProbeResult
from playbooks.refs import KeyRef

Item = TypeVar("Item")
Made = TypeVar("Made")

_CANARY_TAG = "keyquell:probe"
_CANARY = b"keyquell probe"


class KmsSession(AwsReceipts):
    """What the moves of a KMS adapter stand on.

    Probes for ``decrypt`` need a ciphertext of the key: one is made, and kept as the key's tag ``keyquell:probe``,
    before each move that stops encryption.  It binds no encryption context, so a policy that demands one refuses it.
    """

    def __init__(self, name: str, connection: AwsConnection, *, clock: Clock) -> None:
        self.name = name
        self._connection = connection
        self._clock = clock
        self._clients: dict[str, Any] = {}
        self._opening = threading.Lock()
        self._canaries: dict[str, bytes] = {}
        self._pace = Pace(connection.requests_per_second)
        self.pool = ThreadPoolExecutor(min(8, connection.max_connections), thread_name_prefix=f"kms-{name}")

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Open the connection ``name``; clients are made on first use.  Raises InvalidInput for bad options."""
        return cls(name, AwsConnection.read(name, options), clock=clock)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, region={self._connection.region!r})"

    def close(self) -> None:
        """Give up the connections."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        for opened in self._clients.values():
            opened.close()
        self._clients.clear()

    # --- probing ------------------------------------------------------------------------------

    def probe(self, key: KeyRef, *, operation: str, expected: str, identity: str = "") -> ProbeResult:
        """Try one operation over new connections as ``identity``; only a specific refusal code is ``refused``."""
        outcome, code, detail = Outcome.WORKED, "", ""
        try:
            call, arguments = self._attempt(key, operation)
        except BackendError as error:
            outcome, code, detail = Outcome.INCONCLUSIVE, error.code, f"not tried: {error.message}"
        else:
            try:
                self._from_outside(key, call, arguments, identity)
            except Refused as error:
                outcome, code = Outcome.REFUSED, error.code
            except BackendError as error:
                outcome, code, detail = Outcome.INCONCLUSIVE, error.code, error.message
        return ProbeResult(
            subject=str(key),
            operation=operation.capitalize(),
            expected=cast("Literal['refused', 'worked']", expected),
            outcome=outcome,
            code=code,
            at=self._clock(),
            detail=detail,
        )

    def _attempt(self, key: KeyRef, operation: str) -> tuple[str, dict[str, Any]]:
        """The call to try, prepared as the recovery identity: a refusal in here proves nothing about the probed one."""
        if operation == "encrypt":
            return "encrypt", {"Plaintext": _CANARY}
        if operation == "decrypt":
            return "decrypt", {"CiphertextBlob": self._canary(key)}
        if operation == "sign":
            algorithm = signing_algorithm(self.metadata(key), subject=str(key))
            digest = hashlib.sha256(_CANARY).digest()
            return "sign", {"Message": digest, "MessageType": "DIGEST", "SigningAlgorithm": algorithm}
        raise Unavailable(f"KMS has no operation {operation!r} to probe.", subject=str(key))

    def _from_outside(self, key: KeyRef, call: str, arguments: Mapping[str, Any], identity: str) -> None:
        fresh = outsider(self._connection, "kms", identity=identity)
        with translated(str(key)):
            getattr(fresh, call)(KeyId=key.path, **arguments)

    def _canary(self, key: KeyRef) -> bytes:
        """A ciphertext of this key; raises Unavailable when there is none and none can be made."""
        if key.path not in self._canaries:
            try:
                kept = self.tags(key).get(_CANARY_TAG)
                self._canaries[key.path] = base64.b64decode(kept) if kept else self._make_canary(key)
            except BackendError as error:
                raise Unavailable(
                    "there is no ciphertext of the key to try.",
                    subject=str(key),
                    code=error.code,
                    hint="Probe encrypt, or probe the credential.",
                ) from error
        return self._canaries[key.path]

    def _make_canary(self, key: KeyRef) -> bytes:
        with translated(str(key)):
            return cast("bytes", self.kms.encrypt(KeyId=key.path, Plaintext=_CANARY)["CiphertextBlob"])

    def keep_canary(self, key: KeyRef) -> None:
        """Best effort, before containment: a later process must be able to probe."""
        if key.path in self._canaries:
            return
        with suppress(BackendError):
            self._canaries[key.path] = self._make_canary(key)
            self.tag(key, _CANARY_TAG, base64.b64encode(self._canaries[key.path]).decode())

    # --- calls --------------------------------------------------------------------------------

    @property
    def kms(self) -> Any:
        """The client of KMS itself."""
        return self.client_of("kms")

    def client_of(self, service: str) -> Any:
        """The recovery identity's client of a service, made on first use."""
        with self._opening:
            if service not in self._clients:
                self._clients[service] = client(self._connection, service)
            return self._clients[service]

    def call(self, operation: str, key: KeyRef, **arguments: Any) -> Mapping[str, Any]:
        """Call a KMS operation on a key; raises our errors."""
        with translated(str(key)):
            return cast("Mapping[str, Any]", getattr(self.kms, operation)(KeyId=key.path, **arguments))

    def metadata(self, key: KeyRef) -> Mapping[str, Any]:
        """The key's metadata as KMS tells it."""
        return cast("Mapping[str, Any]", self.call("describe_key", key)["KeyMetadata"])

    def tags(self, key: KeyRef) -> dict[str, str]:
        """The key's tags."""
        with translated(str(key)):
            pages = self.kms.get_paginator("list_resource_tags").paginate(KeyId=key.path)
            return {tag["TagKey"]: tag["TagValue"] for page in pages for tag in page["Tags"]}

    def tag(self, key: KeyRef, name: str, value: str) -> None:
        """Set one tag of the key."""
        self.call("tag_resource", key, Tags=[{"TagKey": name, "TagValue": value}])

    def batch(self, key: KeyRef, items: Sequence[Item], one: Callable[[Item], Made]) -> list[Made | Exception]:
        """Do ``one`` to every item, in parallel and at the configured pace; a failure stands in its item's place."""

        def attempt(item: Item) -> Made | Exception:
            self._pace.wait()
            try:
                with translated(str(key)):
                    return one(item)
            except BackendError as error:
                return error

        return list(self.pool.map(attempt, items))
