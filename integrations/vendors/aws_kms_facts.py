"""What KMS says of a key: state, material, limits and the moves that the recovery identity may make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Any

from integrations.vendors.aws import AwsConnection, translated
from playbooks.errors import BackendError, Refused, Unavailable
from playbooks.keys import Capability, KeyFacts, KeyState
from playbooks.refs import KeyRef

_STATES = {
    "Enabled": KeyState.ACTIVE,
    "Disabled": KeyState.SUSPENDED,
    "Unavailable": KeyState.SUSPENDED,
    "PendingDeletion": KeyState.DEACTIVATED,
    "PendingReplicaDeletion": KeyState.DEACTIVATED,
}
_ALGORITHMS = {
    "SYMMETRIC_DEFAULT": "AES-256-GCM",
    "ECC_NIST_P256": "EC-P256",
    "ECC_NIST_P384": "EC-P384",
    "ECC_NIST_P521": "EC-P521",
}
_PERMISSIONS = {
    Capability.DISABLE: "kms:DisableKey",
    Capability.QUARANTINE: "kms:PutKeyPolicy",
    Capability.STOP_ENCRYPTION: "kms:PutKeyPolicy",
    Capability.CREATE: "kms:CreateKey",
    Capability.ROTATE: "kms:RotateKeyOnDemand",
    Capability.REWRAP: "kms:ReEncryptFrom",
    Capability.SIGN: "kms:Sign",
    Capability.SCHEDULE_DELETION: "kms:ScheduleKeyDeletion",
    Capability.REVOKE_GRANTS: "kms:RevokeGrant",
    Capability.READ_USAGE: "cloudtrail:LookupEvents",
}
_NOT_SYMMETRIC = (Capability.STOP_ENCRYPTION, Capability.ROTATE, Capability.REWRAP, Capability.WRAP)


def read_facts(
    key: KeyRef,
    connection: AwsConnection,
    *,
    kms: Any,
    client_of: Callable[[str], Any],
    pool: Executor,
    now: datetime,
) -> KeyFacts:
    """Describe a key.

    Use is tried with ``DryRun``; administration is asked of IAM's policy simulator (``iam:SimulatePrincipalPolicy``).
    When the simulator cannot be asked, a move counts as possible: a plan with a containment that may be refused beats
    a plan without containment.
    """
    subject = str(key)
    with translated(subject):
        metadata = kms.describe_key(KeyId=key.path)["KeyMetadata"]
    symmetric = metadata["KeySpec"] == "SYMMETRIC_DEFAULT"
    material = pool.submit(_material, kms, metadata, subject)
    aliases = pool.submit(list_aliases, kms, key)
    missing = pool.submit(_denied, client_of, connection, metadata["Arn"])
    tried = pool.submit(_try_use, kms, key, metadata)
    unavailable = _by_kind(metadata) | missing.result() | tried.result()
    return KeyFacts(
        ref=key,
        algorithm=_ALGORITHMS.get(metadata["KeySpec"], metadata["KeySpec"].replace("_", "-")),
        purpose="sign" if metadata["KeyUsage"] == "SIGN_VERIFY" else "encrypt",
        state=_STATES.get(metadata["KeyState"], KeyState.PRE_ACTIVE),
        version=str(metadata.get("CurrentKeyMaterialId") or "1") if symmetric else "1",
        versions=material.result()[0],
        protecting_since=material.result()[1],
        extractable=False if metadata.get("Origin", "AWS_KMS") == "AWS_KMS" else None,
        containment_unit="key",
        capabilities=frozenset(set(Capability) - set(unavailable)),
        unavailable=unavailable,
        deletion_days=(7, 30),
        deletion_at=metadata["DeletionDate"].astimezone(UTC) if metadata.get("DeletionDate") else None,
        aliases=tuple(sorted(aliases.result())),
        read_at=now,
    )


OWN_ALIASES = "alias/keyquell/"
"""Start of the aliases by which we find a key that we made."""


def list_aliases(kms: Any, key: KeyRef) -> list[str]:
    """The names of a key's aliases, ``alias/`` included; ours, which nobody calls a key by, are left out."""
    with translated(str(key)):
        pages = kms.get_paginator("list_aliases").paginate(KeyId=key.path)
        names = [str(alias["AliasName"]) for page in pages for alias in page["Aliases"]]
    return [name for name in names if not name.startswith(OWN_ALIASES)]


def _by_kind(metadata: Mapping[str, Any]) -> dict[Capability, str]:
    reasons = {Capability.DESTROY: "AWS KMS ends a key only after a window of 7 to 30 days: schedule its deletion."}
    if metadata["KeySpec"] == "SYMMETRIC_DEFAULT":
        reasons[Capability.SIGN] = "A symmetric key does not sign."
        if metadata.get("Origin", "AWS_KMS") != "AWS_KMS":
            reasons[Capability.ROTATE] = "Imported or external material is rotated where it comes from."
        return reasons
    reasons |= dict.fromkeys(_NOT_SYMMETRIC, "Only a symmetric KMS key can do this.")
    if metadata["KeyUsage"] != "SIGN_VERIFY":
        reasons[Capability.SIGN] = "The key is not for signing."
    elif not _signing_algorithm(metadata):
        reasons[Capability.SIGN] = f"{metadata['KeySpec']} does not sign a SHA-256 digest."
    return reasons


def _signing_algorithm(metadata: Mapping[str, Any]) -> str:
    known = ("RSASSA_PKCS1_V1_5_SHA_256", "ECDSA_SHA_256")
    return next((name for name in known if name in metadata.get("SigningAlgorithms", [])), "")


def signing_algorithm(metadata: Mapping[str, Any], *, subject: str) -> str:
    """The algorithm with which this key signs a SHA-256 digest; raises Unavailable when it has none."""
    name = _signing_algorithm(metadata)
    if not name:
        raise Unavailable(f"{metadata['KeySpec']} does not sign a SHA-256 digest.", subject=subject)
    return name


def _material(kms: Any, metadata: Mapping[str, Any], subject: str) -> tuple[tuple[str, ...], datetime | None]:
    """The versions, and since when the current one protects: its rotation, or the key's creation when it is the first.

    A rotation that may not be seen makes the age unknown, not that of the key.
    """
    current = str(metadata.get("CurrentKeyMaterialId") or "")
    created = metadata["CreationDate"].astimezone(UTC)
    if not current:
        return ("1",), created if metadata["KeySpec"] != "SYMMETRIC_DEFAULT" else None
    try:
        with translated(subject):
            listed = kms.list_key_rotations(KeyId=metadata["KeyId"], IncludeKeyMaterial="ALL_KEY_MATERIAL")
    except BackendError:
        return (current,), None
    entries = {str(entry["KeyMaterialId"]): entry for entry in listed["Rotations"]}
    rotated = entries.get(current, {}).get("RotationDate")
    since = rotated.astimezone(UTC) if rotated else created if len(entries) == 1 else None
    return tuple(entries) or (current,), since


def _try_use(kms: Any, key: KeyRef, metadata: Mapping[str, Any]) -> dict[Capability, str]:
    """Encrypt without effect: DryRunOperationException is AWS's word for "it would have worked"."""
    if metadata["KeySpec"] != "SYMMETRIC_DEFAULT":
        return {}
    try:
        with translated(str(key)):
            kms.encrypt(KeyId=key.path, Plaintext=b"dry run", DryRun=True)
    except Refused as error:
        return {Capability.WRAP: f"Encrypt is refused now ({error.code})."}
    except BackendError:
        return {}
    return {}


def _denied(client_of: Callable[[str], Any], connection: AwsConnection, arn: str) -> dict[Capability, str]:
    actions = sorted(set(_PERMISSIONS.values()))
    try:
        with translated(arn):
            answer = client_of("iam").simulate_principal_policy(
                PolicySourceArn=connection.recovery_principal, ActionNames=actions, ResourceArns=[arn]
            )
    except BackendError:
        return {}
    denied = {result["EvalActionName"] for result in answer["EvaluationResults"] if result["EvalDecision"] != "allowed"}
    return {move: f"The recovery identity lacks {action}." for move, action in _PERMISSIONS.items() if action in denied}
