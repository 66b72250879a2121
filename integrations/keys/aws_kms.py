"""AWS KMS keys: ``aws-kms:CONNECTION/KEY-ID``, for example ``aws-kms:prod/1234abcd-12ab-34cd-56ef-1234567890ab``.

Permissions of the recovery identity: ``kms:*`` on the keys, ``iam:SimulatePrincipalPolicy`` and
``cloudtrail:LookupEvents``.
KMS is eventually consistent: a move that returned is a claim until probes are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, cast

from pydantic import JsonValue

from integrations.vendors import aws_policy
from integrations.vendors.aws import translated
from integrations.vendors.aws_kms_facts import OWN_ALIASES, list_aliases, read_facts, signing_algorithm
from integrations.vendors.aws_kms_session import KmsSession
from integrations.vendors.aws_trail import lookup
from playbooks.errors import BackendError, NotFound, Refused
from playbooks.keys import KeyFacts
from playbooks.ports import Undo, UsageEvent, WrappedKey
from playbooks.receipts import Receipt
from playbooks.refs import KeyRef

_MARKER_TAG = "keyquell:marker"
_ROTATION_TAG = "keyquell:rotation"
_STATE_TAG = "keyquell:state"
_PENDING = ("PendingDeletion", "PendingReplicaDeletion")


class AwsKms(KmsSession):
    """The KMS keys of one account and region, seen and moved as the recovery identity."""

    # --- reading ------------------------------------------------------------------------------

    def describe(self, key: KeyRef) -> KeyFacts:
        """The key's facts now; raises NotFound, Refused, Throttled or Unreachable."""
        return read_facts(
            key,
            self._connection,
            kms=self.kms,
            client_of=self.client_of,
            pool=self.pool,
            now=self._clock(),
        )

    def list_keys(self) -> Iterable[KeyRef]:
        """Every key of the account and region, those managed by AWS included."""
        with translated(f"aws-kms:{self.name}"):
            for page in self.kms.get_paginator("list_keys").paginate():
                for entry in page["Keys"]:
                    yield KeyRef("aws-kms", self.name, entry["KeyId"])

    def usage(self, key: KeyRef, *, since: datetime) -> list[UsageEvent]:
        """Recorded calls on the key since a time, oldest first; CloudTrail lags by up to 15 minutes."""
        arn = self.metadata(key)["Arn"]
        trail = self.client_of("cloudtrail")
        events = lookup(trail, since=since, attribute=("ResourceName", arn), subject=str(key))
        found = [
            UsageEvent(event.at, event.name, event.principal, event.source, str(key), event.event_id)
            for event in events
        ]
        return found[::-1]

    # --- containing ---------------------------------------------------------------------------

    def disable(self, key: KeyRef) -> Receipt:
        """Stop all use at once; its owner's too."""
        requested = self._clock()
        self.keep_canary(key)
        state = self.metadata(key)["KeyState"]
        if state == "Disabled":
            return self.receipt(key, "disable-key", requested, undo={"state": self._state_before(key, state)})
        self._keep_state(key, state)
        return self.receipt(key, "disable-key", requested, self.call("disable_key", key), undo={"state": state})

    def enable(self, key: KeyRef, *, undo: Undo) -> Receipt:
        """Allow use again, unless ``undo`` says that the key was disabled before we came."""
        requested = self._clock()
        if undo.get("state") == "Disabled" or self.metadata(key)["KeyState"] == "Enabled":
            return self.receipt(key, "enable-key", requested)
        answer = self.call("enable_key", key)
        self._forget_state(key)
        return self.receipt(key, "enable-key", requested, answer)

    def quarantine(self, key: KeyRef, *, allow: Sequence[str] = ()) -> Receipt:
        """Deny every use to all but the recovery identity and ``allow`` (ARNs); the key policy says so."""
        recovery = self._connection.recovery_principal
        sids = (aws_policy.QUARANTINE, aws_policy.RECOVERY)
        self.keep_canary(key)
        return self._edit_policy(
            key, "quarantine-key", sids, lambda policy: aws_policy.quarantined(policy, recovery=recovery, allow=allow)
        )

    def release(self, key: KeyRef, *, undo: Undo) -> Receipt:
        """Take our quarantine out of the policy as it is now; edits that others made since stay."""
        sids = (aws_policy.QUARANTINE, aws_policy.RECOVERY)
        return self._edit_policy(key, "release-key", sids, lambda policy: aws_policy.without(policy, *sids))

    def stop_encryption(self, key: KeyRef) -> Receipt:
        """Deny new encryption to everybody; old ciphertext stays readable."""
        self.keep_canary(key)
        return self._edit_policy(key, "stop-encryption", (aws_policy.STOP_ENCRYPTION,), aws_policy.encryption_stopped)

    def resume_encryption(self, key: KeyRef, *, undo: Undo) -> Receipt:
        """Allow new encryption again."""
        sid = aws_policy.STOP_ENCRYPTION
        return self._edit_policy(key, "resume-encryption", (sid,), lambda policy: aws_policy.without(policy, sid))

    def revoke_grants(self, key: KeyRef, *, principal: str = "") -> Receipt:
        """End the grants of ``principal`` (an ARN), or all of them; ``undo`` lists what they allowed."""
        requested = self._clock()
        with translated(str(key)):
            pages = self.kms.get_paginator("list_grants").paginate(KeyId=key.path)
            grants = [grant for page in pages for grant in page["Grants"]]
        ended = [grant for grant in grants if not principal or grant["GranteePrincipal"] == principal]
        answer: Mapping[str, Any] | None = None
        for grant in ended:
            answer = self.call("revoke_grant", key, GrantId=grant["GrantId"])
        shown: list[JsonValue] = [
            {"grantee": str(grant["GranteePrincipal"]), "operations": list(grant["Operations"])} for grant in ended
        ]
        return self.receipt(key, "revoke-grants", requested, answer, undo={"grants": shown})

    def _edit_policy(self, key: KeyRef, move: str, sids: Sequence[str], edit: Callable[[str], str]) -> Receipt:
        requested = self._clock()
        with translated(str(key)):
            current = str(self.kms.get_key_policy(KeyId=key.path, PolicyName="default")["Policy"])
        wanted = edit(current)
        undo: dict[str, JsonValue] = {"policy": aws_policy.without(current, *sids)}
        if aws_policy.same(current, wanted):
            return self.receipt(key, move, requested, undo=undo)
        answer = self.call("put_key_policy", key, PolicyName="default", Policy=wanted)
        return self.receipt(key, move, requested, answer, undo=undo)

    # --- renewing -----------------------------------------------------------------------------

    def create(self, *, like: KeyRef, marker: str) -> tuple[KeyRef, Receipt]:
        """Make a key of the same kind, tags and policy (without our statements), known by an alias of our own.

        ``alias/keyquell/LIKE/MARKER`` points at ``like`` while the key is made and at the new key afterwards.  Only
        when it is found pointing at ``like``, after a crash, is the marker's tag looked for among all keys.
        """
        requested = self._clock()
        metadata = self.metadata(like)
        alias, tag = f"{OWN_ALIASES}{like.path}/{marker}", f"{marker}/{like.path}"
        known = self._behind(alias, like)
        if known not in ("", metadata["KeyId"]):
            found = KeyRef("aws-kms", like.connection, known)
            return found, self.receipt(found, "create-key", requested)
        orphan = self._find(tag) if known else None
        if orphan is not None:
            return orphan, self.receipt(orphan, "create-key", requested, self._name(alias, orphan))
        if not known:
            with translated(str(like)):
                self.kms.create_alias(AliasName=alias, TargetKeyId=metadata["KeyId"])
        with translated(str(like)):
            policy = str(self.kms.get_key_policy(KeyId=like.path, PolicyName="default")["Policy"])
            ours = (aws_policy.QUARANTINE, aws_policy.RECOVERY, aws_policy.STOP_ENCRYPTION)
            tags = {name: text for name, text in self.tags(like).items() if not name.startswith(("keyquell:", "aws:"))}
            tags[_MARKER_TAG] = tag
            answer = self.kms.create_key(
                KeySpec=metadata["KeySpec"],
                KeyUsage=metadata["KeyUsage"],
                Description=metadata.get("Description", ""),
                MultiRegion=bool(metadata.get("MultiRegion", False)),
                Policy=aws_policy.without(policy, *ours),
                Tags=[{"TagKey": name, "TagValue": text} for name, text in tags.items()],
            )
        key = KeyRef("aws-kms", like.connection, str(answer["KeyMetadata"]["KeyId"]))
        self._name(alias, key)
        return key, self.receipt(key, "create-key", requested, answer)

    def switch(self, *, old: KeyRef, new: KeyRef) -> Receipt:
        """Point every alias of ``old`` but ours at ``new``; callers that name the key by its id are not reached."""
        requested = self._clock()
        answer: Mapping[str, Any] | None = None
        aliases = list_aliases(self.kms, old)
        for alias in aliases:
            with translated(str(new)):
                answer = self.kms.update_alias(AliasName=alias, TargetKeyId=new.path)
        undo: dict[str, JsonValue] = {"aliases": list[JsonValue](aliases), "key": str(old)}
        return self.receipt(old, "switch-key", requested, answer, undo=undo)

    def rotate(self, key: KeyRef, *, marker: str) -> Receipt:
        """New material now (RotateKeyOnDemand, 25 a key); the intent is tagged first, so that a repeat is seen."""
        requested = self._clock()
        material = str(self.metadata(key).get("CurrentKeyMaterialId", ""))
        step, _, before = self.tags(key).get(_ROTATION_TAG, "").rpartition("/")
        if step == marker and before != material:
            return self.receipt(key, "rotate-key", requested)
        self.tag(key, _ROTATION_TAG, f"{marker}/{material}")
        answer = self.call("rotate_key_on_demand", key)
        return self.receipt(key, "rotate-key", requested, answer, undo={"material": material})

    def _behind(self, alias: str, like: KeyRef) -> str:
        """The id of the key that an alias of ours points at; "" when there is no such alias."""
        try:
            with translated(str(like)):
                return str(self.kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"])
        except NotFound:
            return ""

    def _name(self, alias: str, key: KeyRef) -> Mapping[str, Any]:
        with translated(str(key)):
            return cast("Mapping[str, Any]", self.kms.update_alias(AliasName=alias, TargetKeyId=key.path))

    def _find(self, tag: str) -> KeyRef | None:
        def matches(key: KeyRef) -> bool:
            try:
                return self.tags(key).get(_MARKER_TAG) == tag
            except (Refused, NotFound):
                return False  # another team's key, one managed by AWS, or one just deleted

        keys = list(self.list_keys())
        return next((key for key, hit in zip(keys, self.pool.map(matches, keys), strict=True) if hit), None)

    # --- data keys and signatures ----------------------------------------------------------------

    def wrap(
        self, key: KeyRef, data_keys: Sequence[bytes], *, contexts: Sequence[Mapping[str, str]]
    ) -> list[WrappedKey | Exception]:
        """Encrypt data keys, each bound to its context."""

        def one(item: tuple[bytes, Mapping[str, str]]) -> WrappedKey:
            answer = self.kms.encrypt(KeyId=key.path, Plaintext=item[0], EncryptionContext=dict(item[1]))
            return WrappedKey(answer["CiphertextBlob"], dict(item[1]))

        return self.batch(key, list(zip(data_keys, contexts, strict=True)), one)

    def unwrap(self, key: KeyRef, wrapped: Sequence[WrappedKey]) -> list[bytes | Exception]:
        """Decrypt data keys under exactly this key and their contexts."""

        def one(item: WrappedKey) -> bytes:
            answer = self.kms.decrypt(KeyId=key.path, CiphertextBlob=item.blob, EncryptionContext=dict(item.context))
            return cast("bytes", answer["Plaintext"])

        return self.batch(key, wrapped, one)

    def rewrap(self, wrapped: Sequence[WrappedKey], *, old: KeyRef, new: KeyRef) -> list[WrappedKey | Exception]:
        """ReEncrypt from ``old`` to ``new``; the plaintext never leaves KMS."""

        def one(item: WrappedKey) -> WrappedKey:
            answer = self.kms.re_encrypt(
                CiphertextBlob=item.blob,
                SourceKeyId=old.path,
                SourceEncryptionContext=dict(item.context),
                DestinationKeyId=new.path,
                DestinationEncryptionContext=dict(item.context),
            )
            return WrappedKey(answer["CiphertextBlob"], dict(item.context))

        return self.batch(old, wrapped, one)

    def sign(self, key: KeyRef, message: bytes) -> bytes:
        """Sign SHA-256 of the message: ECDSA on P-256 (DER) or RSA PKCS #1 v1.5."""
        algorithm = signing_algorithm(self.metadata(key), subject=str(key))
        digest = hashlib.sha256(message).digest()
        answer = self.call("sign", key, Message=digest, MessageType="DIGEST", SigningAlgorithm=algorithm)
        return cast("bytes", answer["Signature"])

    def public_key(self, key: KeyRef) -> bytes:
        """The public half as SPKI DER."""
        return cast("bytes", self.call("get_public_key", key)["PublicKey"])

    # --- ending -------------------------------------------------------------------------------

    def schedule_deletion(self, key: KeyRef, *, days: int) -> Receipt:
        """End the key after ``days`` (7 to 30); until then it can be cancelled."""
        requested = self._clock()
        state = self.metadata(key)["KeyState"]
        if state in _PENDING:
            return self.receipt(key, "schedule-deletion", requested, undo={"state": self._state_before(key, state)})
        self.keep_canary(key)
        self._keep_state(key, state)
        answer = self.call("schedule_key_deletion", key, PendingWindowInDays=days)
        return self.receipt(key, "schedule-deletion", requested, answer, undo={"state": state})

    def cancel_deletion(self, key: KeyRef, *, undo: Undo) -> Receipt:
        """Call the deletion off.  AWS leaves the key disabled; it is enabled only when ``undo`` says that it was."""
        requested = self._clock()
        if self.metadata(key)["KeyState"] not in _PENDING:
            return self.receipt(key, "cancel-deletion", requested)
        answer = self.call("cancel_key_deletion", key)
        if undo.get("state") == "Enabled":
            answer = self.call("enable_key", key)
        self._forget_state(key)
        return self.receipt(key, "cancel-deletion", requested, answer)

    # --- what an undo needs, kept at the key: a receipt may be lost with the process -----------------

    def _keep_state(self, key: KeyRef, state: str) -> None:
        with suppress(BackendError):
            self.tag(key, _STATE_TAG, state)

    def _state_before(self, key: KeyRef, state: str) -> str:
        """The state that our own first try found; ``state`` when there was none."""
        with suppress(BackendError):
            return self.tags(key).get(_STATE_TAG, state)
        return state

    def _forget_state(self, key: KeyRef) -> None:
        with suppress(BackendError):
            self.call("untag_resource", key, TagKeys=[_STATE_TAG])
