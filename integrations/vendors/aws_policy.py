"""Key policies with and without our own statements: pure edits of the policy document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

QUARANTINE = "KeyquellQuarantine"
RECOVERY = "KeyquellRecovery"
STOP_ENCRYPTION = "KeyquellStopEncryption"

_USE = [
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:ReEncrypt*",
    "kms:GenerateDataKey*",
    "kms:Sign",
    "kms:Verify",
    "kms:GenerateMac",
    "kms:VerifyMac",
    "kms:DeriveSharedSecret",
    "kms:CreateGrant",
]
_ENCRYPT = ["kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncryptTo"]


def quarantined(policy: str, *, recovery: str, allow: Sequence[str]) -> str:
    """The policy with every cryptographic use denied to all but ``recovery`` and ``allow`` (ARNs).

    The Deny beats grants and every Allow.  ``recovery`` is allowed everything, so nobody can be locked out by it.
    """
    exempt = [recovery, *(arn for arn in allow if arn != recovery)]
    return _with(
        policy,
        {
            "Sid": QUARANTINE,
            "Effect": "Deny",
            "Principal": "*",
            "Action": _USE,
            "Resource": "*",
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": exempt}},
        },
        {"Sid": RECOVERY, "Effect": "Allow", "Principal": {"AWS": recovery}, "Action": "kms:*", "Resource": "*"},
    )


def encryption_stopped(policy: str) -> str:
    """The policy with new encryption denied to everybody, the recovery identity included."""
    return _with(
        policy,
        {"Sid": STOP_ENCRYPTION, "Effect": "Deny", "Principal": "*", "Action": _ENCRYPT, "Resource": "*"},
    )


def without(policy: str, *sids: str) -> str:
    """The policy without the statements of these ids; the same text when it has none of them."""
    document = json.loads(policy)
    statements = _statements(document)
    kept = [statement for statement in statements if statement.get("Sid") not in sids]
    if len(kept) == len(statements):
        return policy
    return json.dumps({**document, "Statement": kept})


def same(one: str, other: str) -> bool:
    """Do two texts hold the same policy, whatever the order of their statements?"""
    return _canonical(one) == _canonical(other)


def _with(policy: str, *added: dict[str, Any]) -> str:
    bare = json.loads(without(policy, *(statement["Sid"] for statement in added)))
    return json.dumps({**bare, "Statement": [*_statements(bare), *added]})


def _statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    found = document.get("Statement", [])
    return list(found) if isinstance(found, list) else [found]


def _canonical(policy: str) -> str:
    document = json.loads(policy)
    statements = sorted(json.dumps(_ordered(statement), sort_keys=True) for statement in _statements(document))
    return json.dumps([document.get("Version"), statements])


def _ordered(value: Any) -> Any:
    """AWS may answer a one-element list as its element, and in another order."""
    if isinstance(value, dict):
        return {name: _ordered(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return sorted(value, key=str) if len(value) > 1 else value[0] if value else value
    return value
