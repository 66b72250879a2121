"""Keys on a PKCS#11 token: ``pkcs11:token=LABEL;object=LABEL``.

=============  ===========================================================================================
AES            data keys under AES-GCM (context as associated data), else RFC 3394 key wrap
RSA            data keys under OAEP (SHA-1), signatures RSASSA-PKCS1-v1_5 with SHA-256
EC P-256/384   signatures ECDSA with SHA-256, DER
=============  ===========================================================================================

The connection's PIN must be the user PIN; it needs to be a ``file:`` reference for a quarantine.  Disabling clears the
usage attributes of PKCS#11 v2.40 §4.4 and counts only when a new process is refused afterwards.  It does not stop an
operation that has begun, nor copies of a copyable key; whoever has the user PIN can enable the key again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Self, cast

import orjson
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from pydantic import JsonValue

from integrations.secrets import read_secret
from integrations.vendors.pkcs11_client import (
    GENERATE_SECONDS,
    REFUSALS,
    Connection,
    Pkcs11Options,
    WorkerError,
    translated,
)
from integrations.vendors.pkcs11_csr import certification_request
from integrations.vendors.pkcs11_facts import PROTECTS, protecting_since, purpose_of, state_of
from integrations.vendors.pkcs11_objects import STAGE
from integrations.vendors.pkcs11_pins import UserPin, evict
from integrations.vendors.pkcs11_usage import KeptUsage
from playbooks.errors import BackendError, InvalidInput, Unavailable
from playbooks.keys import Capability, KeyFacts
from playbooks.ports import Clock, Undo, WrappedKey
from playbooks.receipts import Outcome, ProbeResult, Receipt
from playbooks.refs import KeyRef

_BATCH = 500
#: Between a key's name and the marker of the step that made its successor.
_MARK = "~"

_NEVER = {
    Capability.ROTATE: "a key object has no versions: create a successor",
    Capability.SCHEDULE_DELETION: "a token destroys at once",
    Capability.REVOKE_GRANTS: "a token has one user and no grants",
    Capability.READ_USAGE: "PKCS#11 keeps no trail of use",
}
_NOT_WRAPPING = dict.fromkeys((Capability.WRAP, Capability.REWRAP), "a signing key does not wrap")
_NOT_SIGNING = {Capability.SIGN: "this key is for encryption"}


class Pkcs11Token:
    """One token: describes, probes, disables, quarantines, creates, wraps, rewraps, signs, destroys."""

    def __init__(self, name: str, options: Pkcs11Options, *, clock: Clock) -> None:
        self._name = name
        self._options = options
        self._clock = clock
        self._pin = UserPin(options)
        self._kept = KeptUsage(options.pin)
        self._connection = Connection(name, options, login=self._pin.log_in)
        self._possible: dict[str, dict[str, str]] = {}

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Open a connection of type ``pkcs11``; the token is not touched before the first call."""
        return cls(name, Pkcs11Options.read(name, options), clock=clock)

    def close(self) -> None:
        """End the worker process."""
        self._connection.drop()

    # --- Describes ---------------------------------------------------------------------------

    def list_keys(self) -> list[KeyRef]:
        """Every secret or private key with a label."""
        return [KeyRef("pkcs11", self._name, label) for label in self._connection.call("labels")]

    def describe(self, key: KeyRef) -> KeyFacts:
        """Attributes of the key, and what a throw-away key of its kind was able to do on this token."""
        found = self._call(key, "facts", label=key.path)
        purpose = purpose_of(found)
        unavailable = self._unavailable(key, found, purpose)
        main = {"encrypt": Capability.WRAP, "sign": Capability.SIGN}[purpose]
        every = {
            Capability.DISABLE,
            Capability.QUARANTINE,
            Capability.STOP_ENCRYPTION,
            Capability.CREATE,
            Capability.DESTROY,
            main,
        }
        if purpose == "encrypt":
            every.add(Capability.REWRAP)
        return KeyFacts(
            ref=key,
            algorithm=found["kind"],
            purpose=purpose,
            state=state_of(found, purpose),
            version=found["id"],
            protecting_since=protecting_since(found),
            extractable=found["extractable"],
            containment_unit="object",
            capabilities=frozenset(every - unavailable.keys()),
            unavailable=unavailable,
            read_at=self._clock(),
        )

    # --- Probes ------------------------------------------------------------------------------

    def probe(self, key: KeyRef, *, operation: str, expected: str, identity: str = "") -> ProbeResult:
        """Try the key from a new process that logs in with the PIN of ``identity``."""
        if operation not in ("encrypt", "decrypt", "sign"):
            raise InvalidInput(f"a key cannot be probed by {operation!r}", hint="Use encrypt, decrypt or sign.")
        pin = read_secret(identity or self._options.pin)
        outcome, code, detail = Outcome.WORKED, "", ""
        try:
            code = self._connection.fresh(pin, "use", label=key.path, operation=operation)
            detail = "the token accepted the key; the data was random" if code else ""
        except WorkerError as error:
            code = error.code or error.detail
            gone = code == "NO_SUCH_OBJECT"
            outcome = Outcome.REFUSED if gone or code in REFUSALS else Outcome.INCONCLUSIVE
            detail = "logged in; the token has no such key" if gone else ""
        except BackendError as error:
            outcome, code, detail = Outcome.INCONCLUSIVE, error.code, error.message
        return ProbeResult(
            subject=str(key),
            operation=operation,
            expected=cast("Literal['refused', 'worked']", expected),
            outcome=outcome,
            code=code,
            at=self._clock(),
            detail=detail,
        )

    # --- Disables, StopsEncryption -------------------------------------------------------------

    def disable(self, key: KeyRef) -> Receipt:
        """Clear every usage attribute, then see from a new process that the token binds to it.

        ``undo`` holds the old values, also those that an earlier try cleared before it was killed.  Raises Unavailable
        when the token takes the change but does not enforce it.
        """
        receipt = self._clear(key, "disable", lambda _part, _name: True)
        operation = "sign" if purpose_of(self._call(key, "facts", label=key.path)) == "sign" else "decrypt"
        self._prove_refused(key, operation)
        return receipt

    def enable(self, key: KeyRef, *, undo: Undo) -> Receipt:
        """Set the usage attributes of ``undo`` again; when it is empty, those that ``disable`` cleared, if known."""
        return self._restore(key, "enable", undo, of="disable")

    def stop_encryption(self, key: KeyRef) -> Receipt:
        """Clear ENCRYPT and WRAP only; what is wrapped can still be opened."""
        receipt = self._clear(key, "stop-encryption", lambda _part, name: name in PROTECTS)
        self._prove_refused(key, "encrypt")
        return receipt

    def resume_encryption(self, key: KeyRef, *, undo: Undo) -> Receipt:
        """Set ENCRYPT and WRAP again."""
        return self._restore(key, "resume-encryption", undo, of="stop-encryption")

    # --- Quarantines ---------------------------------------------------------------------------

    def quarantine(self, key: KeyRef, *, allow: Sequence[str] = ()) -> Receipt:
        """Change the user PIN so that this connection alone has it, and end every other client's session.

        It holds for the whole token.  ``allow`` must be empty: a token has one user.
        """
        requested = self._clock()
        if allow:
            raise Unavailable("a token has one user PIN: nobody else can be let in.", subject=str(key))
        if not self._options.evict_command:
            raise Unavailable("logged-in clients stay", subject=str(key), hint="Set evict_command, or disable the key.")
        self._call(key, "facts", label=key.path)
        changed = self._pin.change(self._connection, subject=str(key))
        code = evict(self._connection, subject=str(key))
        self._pin.prove_previous_refused(self._connection, subject=str(key))
        undo: dict[str, JsonValue] = {"pin": "previous"} if changed else {}
        return self._receipt(key, "quarantine", requested, changed=changed, undo=undo, request_id=code)

    def release(self, key: KeyRef, *, undo: Undo) -> Receipt:
        """Make the PIN of before the quarantine valid again (a false alarm); nothing when ``undo`` is empty."""
        requested = self._clock()
        changed = bool(undo) and self._pin.bring_back(self._connection, subject=str(key))
        return self._receipt(key, "release", requested, changed=changed)

    # --- Creates, Destroys -----------------------------------------------------------------------

    def create(self, *, like: KeyRef, marker: str) -> tuple[KeyRef, Receipt]:
        """Generate a key of the same kind, sensitive, not extractable, not copyable, labelled ``NAME~MARKER``.

        It gets its label in a second call: an HSM finishes a generation although the caller was killed meanwhile, and
        two keys of one label are none.
        """
        requested = self._clock()
        found = self._call(like, "facts", label=like.path)
        made = KeyRef("pkcs11", self._name, f"{like.path.partition(_MARK)[0]}{_MARK}{marker}")
        spec = {"kind": found["kind"], "purpose": purpose_of(found)}
        staged = f"{made.path}{STAGE}{secrets.token_hex(4)}"
        self._call(made, "generate", label=made.path, spec=spec, staged=staged, seconds=GENERATE_SECONDS)
        changed = self._call(made, "adopt", staged=staged, label=made.path)
        return made, self._receipt(made, "create", requested, changed=changed)

    def switch(self, *, old: KeyRef, new: KeyRef) -> Receipt:
        """Nothing: a token has no aliases; consumers are told the new label."""
        del old
        return self._receipt(new, "switch", self._clock(), changed=False)

    def destroy(self, key: KeyRef) -> Receipt:
        """Destroy the key and its public half (C_DestroyObject).

        A file-level backup of a SoftHSM token brings it back.
        """
        requested = self._clock()
        changed = self._call(key, "destroy", label=key.path)
        for move in ("disable", "stop-encryption"):
            self._kept.forget(key.path, move)
        return self._receipt(key, "destroy", requested, changed=changed)

    # --- Wraps, Rewraps ----------------------------------------------------------------------------

    def wrap(
        self, key: KeyRef, data_keys: Sequence[bytes], *, contexts: Sequence[Mapping[str, str]]
    ) -> list[WrappedKey | Exception]:
        """Wrap data keys; the format is in ``pkcs11_wrapping``."""
        answers = self._batches(key, "wrap", data_keys, contexts, label=key.path)
        return _wrapped(answers, contexts)

    def unwrap(self, key: KeyRef, wrapped: Sequence[WrappedKey]) -> list[bytes | Exception]:
        """Unwrap data keys; IntegrityFailure stands for a blob, context or key that do not belong together."""
        blobs, contexts = [item.blob for item in wrapped], [item.context for item in wrapped]
        return self._batches(key, "unwrap", blobs, contexts, label=key.path)

    def rewrap(self, wrapped: Sequence[WrappedKey], *, old: KeyRef, new: KeyRef) -> list[WrappedKey | Exception]:
        """Move data keys to another key of this token; their plaintext stays in the worker process."""
        blobs, contexts = [item.blob for item in wrapped], [item.context for item in wrapped]
        return _wrapped(self._batches(old, "rewrap", blobs, contexts, old=old.path, new=new.path), contexts)

    # --- Signs ---------------------------------------------------------------------------------------

    def sign(self, key: KeyRef, message: bytes) -> bytes:
        """ECDSA-with-SHA256 in DER, or RSA PKCS#1 v1.5 with SHA-256."""
        return cast("bytes", self._call(key, "sign", label=key.path, message=message))

    def public_key(self, key: KeyRef) -> bytes:
        """SubjectPublicKeyInfo, DER."""
        der = self._call(key, "public_key", label=key.path)
        return load_der_public_key(der).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def csr_pem(self, key: KeyRef, subject: str) -> str:
        """A PKCS#10 request for ``subject`` (RFC 4514, ``CN=orders signer,O=Example``), signed inside the token."""
        return certification_request(subject, self.public_key(key), lambda message: self.sign(key, message))

    # --- inside ----------------------------------------------------------------------------------------

    def _call(self, key: KeyRef, call: str, **arguments: Any) -> Any:
        return self._connection.call(call, subject=str(key), **arguments)

    def _unavailable(self, key: KeyRef, found: Mapping[str, Any], purpose: str) -> dict[Capability, str]:
        kind = found["kind"]
        if kind not in self._possible:
            self._possible[kind] = self._call(key, "possible", kind=kind, seconds=GENERATE_SECONDS)
        tried = self._possible[kind]
        reasons = dict(_NEVER)
        reasons |= _NOT_WRAPPING if purpose == "sign" else _NOT_SIGNING
        if tried["disable"] or not found["modifiable"]:
            why = tried["disable"] or "CKA_MODIFIABLE is false"
            reasons[Capability.DISABLE] = f"usage attributes do not bind on this token ({why}); destroy instead"
            reasons[Capability.STOP_ENCRYPTION] = reasons[Capability.DISABLE]
        if purpose == "sign":
            reasons[Capability.STOP_ENCRYPTION] = "a signing key does not encrypt"
        if not self._options.evict_command:
            reasons[Capability.QUARANTINE] = "logged-in clients stay"
        elif not self._pin.changeable:
            reasons[Capability.QUARANTINE] = "a new PIN could not be kept: the pin reference is not a file"
        if not found["destroyable"]:
            reasons[Capability.DESTROY] = "CKA_DESTROYABLE is false"
        if tried["create"]:
            reasons[Capability.CREATE] = f"the token refused to generate one ({tried['create']})"
        if purpose == "encrypt" and tried["wrap"]:
            for capability in (Capability.WRAP, Capability.REWRAP):
                reasons[capability] = f"no way of wrapping works for this key type here ({tried['wrap']})"
        if purpose == "sign" and tried["sign"]:
            reasons[Capability.SIGN] = f"signing does not work here ({tried['sign']})"
        return reasons

    def _clear(self, key: KeyRef, move: str, chosen: Callable[[str, str], bool]) -> Receipt:
        requested = self._clock()
        usage = self._call(key, "facts", label=key.path)["usage"]
        old = {
            part: {name: True for name, value in values.items() if value and chosen(part, name)}
            for part, values in usage.items()
        }
        old = {part: values for part, values in old.items() if values}
        both = self._kept.add(key.path, move, old)
        if old:
            cleared = {part: dict.fromkeys(values, False) for part, values in old.items()}
            self._call(key, "set_usage", label=key.path, usage=cleared)
        undo: dict[str, JsonValue] = {"usage": cast("JsonValue", both)} if both else {}
        return self._receipt(key, move, requested, changed=bool(old), undo=undo)

    def _restore(self, key: KeyRef, move: str, undo: Undo, *, of: str) -> Receipt:
        requested = self._clock()
        wanted = cast("dict[str, dict[str, bool]]", undo.get("usage") or self._kept.read(key.path, of))
        usage = self._call(key, "facts", label=key.path)["usage"]
        changed = any(usage.get(part, {}).get(name) != value for part in wanted for name, value in wanted[part].items())
        if changed:
            self._call(key, "set_usage", label=key.path, usage=wanted)
        self._kept.forget(key.path, of)
        return self._receipt(key, move, requested, changed=changed)

    def _prove_refused(self, key: KeyRef, operation: str) -> None:
        result = self.probe(key, operation=operation, expected="refused")
        if result.outcome is Outcome.WORKED:
            raise Unavailable(
                "the token took the change but does not enforce it.",
                subject=str(key),
                code="NOT_ENFORCED",
                hint="Destroy the key instead.",
            )

    def _batches(
        self,
        key: KeyRef,
        call: str,
        items: Sequence[bytes],
        contexts: Sequence[Mapping[str, str]],
        **arguments: str,
    ) -> list[bytes | Exception]:
        found: list[bytes | Exception] = []
        bound = [_canonical(context) for context in contexts]
        for start in range(0, len(items), _BATCH):
            part = slice(start, start + _BATCH)
            batch = {"items": list(items[part]), "contexts": bound[part]}
            try:
                answers = self._call(key, call, seconds=GENERATE_SECONDS, **batch, **arguments)
            except BackendError as error:
                found += [error] * len(batch["items"])
            else:
                found += [
                    translated(answer, str(key), call) if isinstance(answer, WorkerError) else answer
                    for answer in answers
                ]
        return found

    def _receipt(
        self,
        key: KeyRef,
        move: str,
        requested: datetime,
        *,
        changed: bool = True,
        undo: dict[str, JsonValue] | None = None,
        request_id: str = "",
    ) -> Receipt:
        return Receipt(
            subject=str(key),
            move=move,
            requested_at=requested,
            accepted_at=self._clock(),
            changed=changed,
            undo=undo or {},
            request_id=request_id,
        )


def _canonical(context: Mapping[str, str]) -> bytes:
    return orjson.dumps(dict(context), option=orjson.OPT_SORT_KEYS) if context else b""


def _wrapped(
    answers: Sequence[bytes | Exception], contexts: Sequence[Mapping[str, str]]
) -> list[WrappedKey | Exception]:
    return [
        WrappedKey(answer, dict(context)) if isinstance(answer, bytes) else answer
        for answer, context in zip(answers, contexts, strict=True)
    ]
