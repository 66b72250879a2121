"""OpenBao transit as a key backend: ``openbao:CONNECTION/MOUNT/KEY``, for example ``openbao:vault/transit/orders``.

Policy of the recovery identity, per mount M: ``read``, ``list``, ``create``, ``update``, ``delete`` on ``M/keys/*``;
``update`` on ``M/config/keys``, ``M/encrypt/*``, ``M/decrypt/*``, ``M/rewrap/*``, ``M/sign/*``; for quarantine also
``list``, ``read``, ``update`` on ``sys/policies/acl/*``.

Transit keys carry no tags.  What a repeated step must remember (from which version it started) is kept as the *name* of
an unused key beside it, ``keyquell-rotate.KEY.MARKER.fromN`` or ``keyquell-stop.KEY.toN.fromM``; such names are hidden
from ``list_keys`` and removed with the key, or when encryption is resumed.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import JsonValue

from integrations.vendors import openbao_policies as policies
from integrations.vendors.openbao import (
    Answer,
    OpenBaoConnection,
    OpenBaoSession,
    check_connection,
    mount_and_name,
)
from integrations.vendors.openbao_adapter import OpenBaoAdapter
from integrations.vendors.openbao_facts import facts_from
from integrations.vendors.openbao_transit import TransitBatches
from playbooks.errors import BackendError, IntegrityFailure, InvalidInput, NotFound, Refused, Unavailable
from playbooks.keys import KeyFacts
from playbooks.ports import Clock, Undo, WrappedKey
from playbooks.receipts import Outcome, ProbeResult, Receipt
from playbooks.refs import KeyRef

_NOTE = "keyquell-"
_STOP_NOTE = r"keyquell-stop\.{name}\.to(\d+)\.from(\d+)"
_PROBE = b"an independent try of this key.."
_NEVER_MADE = b"vault:v1:" + b64encode(bytes(60))
"""A ciphertext of nobody: a live key answers that it does not authenticate, a disabled one that it is disabled."""


class OpenBaoTransit(OpenBaoAdapter):
    """All moves on transit keys through one connection; ``enable`` and the like need nothing but the receipt's undo."""

    def __init__(self, name: str, connection: OpenBaoConnection, clock: Clock) -> None:
        super().__init__(name, connection, clock)
        self._batches = TransitBatches(self._session)
        self._upsert_closed: set[str] = set()

    # --- describe ------------------------------------------------------------------------------

    def describe(self, key: KeyRef) -> KeyFacts:
        """Facts now; the capabilities are what the server says that this token may do to this key."""
        return facts_from(key, self._config(key), self._session, now=self._clock())

    def list_keys(self) -> Iterable[KeyRef]:
        """The keys of every transit mount that this token can see."""
        mounts = self._session.call("GET", "sys/internal/ui/mounts", subject=self._name).data.get("secret", {})
        for mount in sorted(path.rstrip("/") for path, facts in mounts.items() if facts.get("type") == "transit"):
            for name in self._names(mount):
                if not name.startswith(_NOTE):
                    yield KeyRef("openbao", self._name, f"{mount}/{name}")

    # --- probe ---------------------------------------------------------------------------------

    def probe(self, key: KeyRef, *, operation: str, expected: str, identity: str = "") -> ProbeResult:
        """Try the key from a fresh session; see ``Probes``.  ``identity`` is a reference to a token."""
        try:
            with OpenBaoSession(self._name, self._connection, identity=identity) as fresh:
                self._try(fresh, key, operation)
            outcome, code, detail = Outcome.WORKED, "", ""
        except Refused as error:
            outcome, code, detail = Outcome.REFUSED, error.code, error.message
        except BackendError as error:
            outcome, code, detail = Outcome.INCONCLUSIVE, error.code, error.message
        facts = {"operation": operation, "expected": expected, "outcome": outcome, "code": code, "detail": detail}
        return ProbeResult.model_validate({"subject": str(key), "at": self._clock(), **facts})

    def _try(self, fresh: OpenBaoSession, key: KeyRef, operation: str) -> None:
        batches = TransitBatches(fresh)
        if operation == "sign":
            self._sign(fresh, key, _PROBE)
        elif operation == "encrypt":
            self._encrypt_as_exposed(fresh, key)
        elif operation == "decrypt":
            made = self._batches.wrap(key, [_PROBE], [{}])[0]
            tried = made if isinstance(made, WrappedKey) else WrappedKey(_NEVER_MADE)
            answer = batches.unwrap(key, [tried])[0]
            if isinstance(answer, IntegrityFailure) and tried is not made:
                return  # the key was used: it did not authenticate a ciphertext that nobody made
            _raise_if_error(answer)
        else:
            raise InvalidInput(f"an OpenBao key is probed with encrypt, decrypt or sign, not {operation!r}")

    def _encrypt_as_exposed(self, fresh: OpenBaoSession, key: KeyRef) -> None:
        """Encrypt under the version that a stop left behind, which is the exposed one; else under the newest."""
        note = self._note(key, _STOP_NOTE, "stop")
        mount, name = mount_and_name(key)
        empty_context = b64encode(b"{}").decode()  # needed by derived keys, ignored by the others
        body: dict[str, Any] = {"plaintext": b64encode(_PROBE).decode(), "context": empty_context}
        if note:
            body["key_version"] = int(note[0]) - 1
        fresh.call("POST", f"{mount}/encrypt/{name}", subject=key, body=body)

    # --- contain -------------------------------------------------------------------------------

    def disable(self, key: KeyRef) -> Receipt:
        """Soft-delete: no use, no export, no rotation, reversibly.  The server answers 204 for an unknown key."""
        requested = self._clock()
        if self._config(key).get("soft_deleted"):
            return self._receipt(key, "disable", requested, changed=False)
        answer = self._keys("DELETE", key, "/soft-delete")
        return self._receipt(key, "disable", requested, answer)

    def enable(self, key: KeyRef, *, undo: Undo) -> Receipt:
        """Restore a soft-deleted key."""
        requested = self._clock()
        if not self._config(key).get("soft_deleted"):
            return self._receipt(key, "enable", requested, changed=False)
        answer = self._keys("POST", key, "/soft-delete-restore", {})
        return self._receipt(key, "enable", requested, answer)

    def quarantine(self, key: KeyRef, *, allow: Sequence[str] = ()) -> Receipt:
        """Deny the key by exact path in every policy that may grant it.

        Spared are the policies of this connection's own token and those named in ``allow``: who shares one of them, and
        who holds a root token, is not kept out.  The receipt's undo names the spared and keeps the changed ones' text.
        """
        requested = self._clock()
        self._config(key)
        paths = policies.denied_paths(*mount_and_name(key))
        spared = {*allow, *policies.own_policies(self._session)}
        before: dict[str, JsonValue] = {}
        for policy, text in policies.read_policies(self._session).items():
            if policy in spared or not policies.may_grant(text, paths):
                continue
            denied = policies.with_denial(text, key, paths)
            if denied != text:
                policies.write_policy(self._session, policy, denied)
                before[policy] = text
        undo: dict[str, JsonValue] = {"policies": before, "spared": [*sorted(spared)]}
        return self._receipt(key, "quarantine", requested, changed=bool(before), undo=undo)

    def release(self, key: KeyRef, *, undo: Undo) -> Receipt:
        """Take the denials out of the policies again, also of those that ``undo`` does not name."""
        requested = self._clock()
        before = undo.get("policies")
        previous = before if isinstance(before, dict) else {}
        changed = False
        for policy, text in policies.read_policies(self._session).items():
            released = policies.without_denial(text, key, str(previous.get(policy, text)))
            if released != text:
                policies.write_policy(self._session, policy, released)
                changed = True
        return self._receipt(key, "release", requested, changed=changed)

    def stop_encryption(self, key: KeyRef) -> Receipt:
        """Rotate and raise ``min_encryption_version`` to the new version; old ciphertext still decrypts.

        It is already so while the newest version is the one that an earlier stop made and nothing below may encrypt.
        """
        requested, config = self._clock(), self._config(key)
        note = self._note(key, _STOP_NOTE, "stop")
        if note and int(note[0]) < config["latest_version"]:
            self._forget(key, "stop")
            note = None
        floor, target = int(config["min_encryption_version"]), int(config["latest_version"]) + 1
        if note:
            target, floor = int(note[0]), int(note[1])
        undo: dict[str, JsonValue] = {"min_encryption_version": floor}
        if note and int(config["min_encryption_version"]) >= target:
            return self._receipt(key, "stop-encryption", requested, changed=False, undo=undo)
        if not note:
            self._remember(key, f"stop.{{name}}.to{target}.from{floor}")
        if int(config["latest_version"]) < target:
            self._keys("POST", key, "/rotate", {})
        answer = self._keys("POST", key, "/config", {"min_encryption_version": target})
        return self._receipt(key, "stop-encryption", requested, answer, undo=undo)

    def resume_encryption(self, key: KeyRef, *, undo: Undo) -> Receipt:
        """Put ``min_encryption_version`` back; the version that the stop made stays."""
        requested = self._clock()
        floor = int(str(undo.get("min_encryption_version", 0)))
        changed = self._config(key)["min_encryption_version"] != floor
        if changed:
            self._keys("POST", key, "/config", {"min_encryption_version": floor})
        self._forget(key, "stop")
        return self._receipt(key, "resume-encryption", requested, changed=changed)

    # --- renew ---------------------------------------------------------------------------------

    def create(self, *, like: KeyRef, marker: str) -> tuple[KeyRef, Receipt]:
        """Make ``NAME-MARKER`` of the same type, never exportable.

        Raises IntegrityFailure when a key of that name exists which is not like it: somebody else put it there.
        """
        requested, model = self._clock(), self._config(like)
        new = KeyRef(like.scheme, like.connection, f"{like.path}-{marker}")
        wanted = {"type": model["type"], "derived": bool(model.get("derived"))}
        wanted |= {"exportable": False, "allow_plaintext_backup": False}
        try:
            found = self._config(new)
        except NotFound:
            answer = self._keys("POST", new, "", wanted)
            return new, self._receipt(new, "create", requested, answer)
        if any(found.get(field) != value for field, value in wanted.items()):
            raise IntegrityFailure(
                f"{new} exists and is not like {like}.",
                subject=str(new),
                code="key-differs",
                hint="Find out who made it, then use another marker.",
            )
        return new, self._receipt(new, "create", requested, changed=False)

    def switch(self, *, old: KeyRef, new: KeyRef) -> Receipt:
        """Nothing to do: transit has no aliases."""
        check_connection(new, self._name)
        return self._receipt(old, "switch", self._clock(), changed=False)

    def rotate(self, key: KeyRef, *, marker: str) -> Receipt:
        """Make a new version, once for each marker."""
        requested, latest = self._clock(), int(self._config(key)["latest_version"])
        note = self._note(key, rf"keyquell-rotate\.{{name}}\.{re.escape(marker)}\.from(\d+)", "rotate")
        if note and latest > int(note[0]):
            return self._receipt(key, "rotate", requested, changed=False)
        if not note:
            self._remember(key, f"rotate.{{name}}.{marker}.from{latest}")
        answer = self._keys("POST", key, "/rotate", {})
        return self._receipt(key, "rotate", requested, answer, undo={"version": latest})

    # --- wrap, rewrap, sign ----------------------------------------------------------------------

    def wrap(
        self, key: KeyRef, data_keys: Sequence[bytes], *, contexts: Sequence[Mapping[str, str]]
    ) -> list[WrappedKey | Exception]:
        """Wrap data keys in batches; a blob is the ASCII text ``vault:vN:…``."""
        check_connection(key, self._name)
        return self._batches.wrap(key, data_keys, contexts)

    def unwrap(self, key: KeyRef, wrapped: Sequence[WrappedKey]) -> list[bytes | Exception]:
        """Unwrap data keys in batches."""
        check_connection(key, self._name)
        return self._batches.unwrap(key, wrapped)

    def rewrap(self, wrapped: Sequence[WrappedKey], *, old: KeyRef, new: KeyRef) -> list[WrappedKey | Exception]:
        """Move data keys to ``new``.

        OpenBao rewraps inside one key only: between two keys the plaintext passes through this process.
        """
        check_connection(old, self._name)
        check_connection(new, self._name)
        return self._batches.rewrap(wrapped, old, new)

    def sign(self, key: KeyRef, message: bytes) -> bytes:
        """Sign with SHA-256: DER for EC, PKCS #1 v1.5 for RSA, raw for Ed25519 (which hashes by itself)."""
        return self._sign(self._session, key, message)

    def public_key(self, key: KeyRef) -> bytes:
        """The SPKI (DER) of the version that signs now."""
        config = self._config(key)
        version = (config.get("keys") or {}).get(str(config["latest_version"]))
        if not isinstance(version, dict) or not version.get("public_key"):
            raise Unavailable(f"{key} has no public key.", subject=str(key), code=str(config["type"]))
        text = str(version["public_key"])
        public = (
            serialization.load_pem_public_key(text.encode())
            if text.startswith("-----BEGIN")
            else Ed25519PublicKey.from_public_bytes(b64decode(text))
        )
        return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    # --- retire --------------------------------------------------------------------------------

    def raise_min_decryption(self, key: KeyRef, *, version: int) -> Receipt:
        """Refuse all ciphertext older than ``version``.  Only when the census is clear: rewrap of it fails then too."""
        requested, current = self._clock(), int(self._config(key)["min_decryption_version"])
        if current >= version:
            return self._receipt(key, "raise-min-decryption", requested, changed=False)
        answer = self._keys("POST", key, "/config", {"min_decryption_version": version})
        undo: dict[str, JsonValue] = {"min_decryption_version": current}
        return self._receipt(key, "raise-min-decryption", requested, answer, undo=undo)

    def destroy(self, key: KeyRef) -> Receipt:
        """Delete the key and its notes for good; a backup of the mount or a plaintext backup can bring it back.

        First ``disable_upsert`` is set, so that a client's ``encrypt`` does not make the name again; without the right
        to set it, that stays possible for clients whose policy has ``create`` on ``encrypt``.
        """
        requested = self._clock()
        try:
            self._config(key)
        except NotFound:
            return self._receipt(key, "destroy", requested, changed=False)
        self._close_upsert(mount_and_name(key)[0])
        self._keys("POST", key, "/config", {"deletion_allowed": True})
        answer = self._keys("DELETE", key)
        for kind in ("stop", "rotate"):
            self._forget(key, kind)
        return self._receipt(key, "destroy", requested, answer)

    # --- the connection's plumbing -----------------------------------------------------------------

    def _config(self, key: KeyRef) -> dict[str, Any]:
        return self._keys("GET", key).data

    def _keys(self, method: str, key: KeyRef, tail: str = "", body: Mapping[str, Any] | None = None) -> Answer:
        check_connection(key, self._name)
        mount, name = mount_and_name(key)
        return self._session.call(method, f"{mount}/keys/{name}{tail}", subject=key, body=body)

    def _sign(self, session: OpenBaoSession, key: KeyRef, message: bytes) -> bytes:
        check_connection(key, self._name)
        mount, name = mount_and_name(key)
        body = {"input": b64encode(message).decode(), "hash_algorithm": "sha2-256", "signature_algorithm": "pkcs1v15"}
        answer = session.call("POST", f"{mount}/sign/{name}", subject=key, body=body)
        return b64decode(str(answer.data["signature"]).rpartition(":")[2])

    def _names(self, mount: str) -> list[str]:
        try:
            return list(self._session.call("LIST", f"{mount}/keys", subject=f"{self._name}/{mount}").data["keys"])
        except NotFound:
            return []

    def _note(self, key: KeyRef, pattern: str, kind: str) -> tuple[str, ...] | None:
        """The groups of the note that matches; ``{name}`` stands for the key's name."""
        name = mount_and_name(key)[1]
        expression = re.compile(pattern.replace("{name}", re.escape(name)))
        found = [match for note in self._notes(key, kind) if (match := expression.fullmatch(note))]
        return found[-1].groups() if found else None

    def _notes(self, key: KeyRef, kind: str) -> list[str]:
        mount, name = mount_and_name(key)
        return [note for note in self._names(mount) if note.startswith(f"{_NOTE}{kind}.{name}.")]

    def _remember(self, key: KeyRef, note: str) -> None:
        mount, name = mount_and_name(key)
        path = f"{mount}/{_NOTE}{note.replace('{name}', name)}"
        self._keys("POST", KeyRef(key.scheme, key.connection, path), "", {"type": "aes256-gcm96"})

    def _forget(self, key: KeyRef, kind: str) -> None:
        mount = mount_and_name(key)[0]
        for note in self._notes(key, kind):
            ref = KeyRef(key.scheme, key.connection, f"{mount}/{note}")
            self._keys("POST", ref, "/config", {"deletion_allowed": True})
            self._keys("DELETE", ref)

    def _close_upsert(self, mount: str) -> None:
        """Stop ``encrypt`` from silently making a missing key again, where this token may."""
        if mount not in self._upsert_closed:
            try:
                self._session.call("POST", f"{mount}/config/keys", subject=mount, body={"disable_upsert": True})
            except Refused:
                return
            self._upsert_closed.add(mount)


def _raise_if_error(answer: object) -> None:
    if isinstance(answer, Exception):
        raise answer
