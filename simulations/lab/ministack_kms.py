"""What ministack 1.5's KMS lacks or bends, put right inside the server's own process.

Authenticated ciphertext that names its key and its material, ``ReEncrypt``, on-demand rotation, ``DryRun``, grants, and
the states in which AWS refuses.  Loaded by ``ministack_launcher`` alone; nothing of keyquell runs in that process.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from ministack.core import iam_actions, iam_evaluator, responses
from ministack.core.responses import get_region
from ministack.core.router import extract_access_key_id
from ministack.services import kms

Reply = tuple[int, dict[str, str], bytes]
Record = dict[str, Any]

# The first 36 bytes stay the key id in clear: ministack's IAM check reads it there.
_Response = tuple[int, dict[str, str], bytes]
_answer: Callable[..., _Response] = responses.json_response
_fault: Callable[..., _Response] = responses.error_response_json
_KEY_ID_BYTES, _MATERIAL_BYTES, _NONCE_BYTES = 36, 32, 12
_HEADER_BYTES = _KEY_ID_BYTES + _MATERIAL_BYTES + _NONCE_BYTES
_DRY_RUN = {"Encrypt", "Decrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncrypt", "Sign", "Verify"}
_ROTATIONS_PER_KEY = 25


class _Refusal(Exception):
    """Carries AWS's error reply out of a helper."""

    def __init__(self, code: str, message: str) -> None:
        self.reply: Reply = _fault(code, message, 400)


def install() -> None:
    """Replace the KMS operations that differ from AWS."""
    kms._encrypt = _encrypt_truly(kms._encrypt)
    kms._decrypt = _decrypt_truly(kms._decrypt)
    kms._generate_data_key_common = _generate_data_key
    kms._enable_key = _unless_pending_deletion(kms._enable_key)
    kms._disable_key = _unless_pending_deletion(kms._disable_key)
    kms._schedule_key_deletion = _unless_pending_deletion(kms._schedule_key_deletion)
    kms._cancel_key_deletion = _only_pending_deletion(kms._cancel_key_deletion)
    kms.handle_request = _handle(kms.handle_request)
    iam_actions.extract_iam_action = _name_reencrypt(iam_actions.extract_iam_action)
    iam_actions.extract_resource_arn = _resolve_aliases(iam_actions.extract_resource_arn)
    iam_evaluator.enforce = _honour_grants(iam_evaluator.enforce)


# --- ciphertext ----------------------------------------------------------------------------------


def _materials(record: Record) -> dict[str, bytes]:
    """Every material of a key by id, the current one included."""
    return {**record.get("_old_materials", {}), kms._key_material_id(record): record["_symmetric_key"]}


def _bound(header: bytes, context: Mapping[str, str]) -> bytes:
    return header + json.dumps(dict(context), sort_keys=True, separators=(",", ":")).encode()


def _seal(record: Record, plaintext: bytes, context: Mapping[str, str]) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    header = record["KeyId"].encode() + bytes.fromhex(kms._key_material_id(record)) + nonce
    sealed: bytes = AESGCM(record["_symmetric_key"]).encrypt(nonce, plaintext, _bound(header, context))
    return bytes(header + sealed)


def _open(blob: bytes, context: Mapping[str, str], *, named: str) -> tuple[Record, str, bytes]:
    """The key, the material id and the plaintext of a blob; ``named`` is the caller's KeyId or ""."""
    stated = kms._resolve_key(named) if named else None
    if named and stated is None:
        raise _Refusal("NotFoundException", f"Key {named} not found")
    record = kms._resolve_key(blob[:_KEY_ID_BYTES].decode("ascii", "replace")) if len(blob) > _HEADER_BYTES else None
    if record is None or "_symmetric_key" not in record:
        raise _Refusal("InvalidCiphertextException", "")
    if stated is not None and stated["KeyId"] != record["KeyId"]:
        raise _Refusal("IncorrectKeyException", "The key ID in the request does not identify a CMK that can decrypt.")
    _usable(record)
    material_id = blob[_KEY_ID_BYTES : _KEY_ID_BYTES + _MATERIAL_BYTES].hex()
    material = _materials(record).get(material_id)
    header = blob[:_HEADER_BYTES]
    try:
        if material is None:
            raise InvalidTag
        nonce = header[-_NONCE_BYTES:]
        return record, material_id, AESGCM(material).decrypt(nonce, blob[_HEADER_BYTES:], _bound(header, context))
    except InvalidTag as error:
        raise _Refusal("InvalidCiphertextException", "") from error


def _usable(record: Record) -> None:
    refusal = kms._check_key_state(record)
    if refusal:
        error = _Refusal("", "")
        error.reply = refusal
        raise error


def _key(data: Mapping[str, Any], field: str = "KeyId") -> Record:
    record: Record | None = kms._resolve_key(data.get(field, ""))
    if record is None:
        raise _Refusal("NotFoundException", f"Key {data.get(field, '')} not found")
    return record


def _blob(data: Mapping[str, Any], field: str) -> bytes:
    return base64.b64decode(data.get(field, ""))


# --- operations ----------------------------------------------------------------------------------


def _encrypt_truly(original: Callable[[Record], Reply]) -> Callable[[Record], Reply]:
    def encrypt(data: Record) -> Reply:
        record = kms._resolve_key(data.get("KeyId", ""))
        if record is None or "_symmetric_key" not in record:
            return original(data)
        _usable(record)
        sealed = _seal(record, _blob(data, "Plaintext"), data.get("EncryptionContext", {}))
        return _answer(
            {
                "KeyId": record["Arn"],
                "CiphertextBlob": base64.b64encode(sealed).decode(),
                "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            }
        )

    return encrypt


def _decrypt_truly(original: Callable[[Record], Reply]) -> Callable[[Record], Reply]:
    def decrypt(data: Record) -> Reply:
        named = data.get("KeyId", "")
        record = kms._resolve_key(named) if named else None
        if record is not None and "_private_key" in record:
            return original(data)
        context = data.get("EncryptionContext", {})
        record, material_id, plaintext = _open(_blob(data, "CiphertextBlob"), context, named=named)
        return _answer(
            {
                "KeyId": record["Arn"],
                "Plaintext": base64.b64encode(plaintext).decode(),
                "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
                "KeyMaterialId": material_id,
            }
        )

    return decrypt


def _generate_data_key(data: Record, action: str = "GenerateDataKey") -> tuple[Record | None, bytes | None, Any]:
    record = _key(data)
    _usable(record)
    if "_symmetric_key" not in record:
        raise _Refusal("InvalidKeyUsageException", f"{action} requires a symmetric key")
    size = data.get("NumberOfBytes") or (16 if data.get("KeySpec") == "AES_128" else 32)
    data_key = os.urandom(size)
    return record, data_key, _seal(record, data_key, data.get("EncryptionContext", {}))


def _reencrypt(data: Record) -> Reply:
    source, source_material, plaintext = _open(
        _blob(data, "CiphertextBlob"), data.get("SourceEncryptionContext", {}), named=data.get("SourceKeyId", "")
    )
    destination = _key(data, "DestinationKeyId")
    _usable(destination)
    if "_symmetric_key" not in destination:
        raise _Refusal("InvalidKeyUsageException", f"{destination['Arn']} cannot encrypt symmetrically.")
    sealed = _seal(destination, plaintext, data.get("DestinationEncryptionContext", {}))
    return _answer(
        {
            "CiphertextBlob": base64.b64encode(sealed).decode(),
            "SourceKeyId": source["Arn"],
            "KeyId": destination["Arn"],
            "SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "SourceKeyMaterialId": source_material,
            "DestinationKeyMaterialId": kms._key_material_id(destination),
        }
    )


def _rotate_on_demand(data: Record) -> Reply:
    record = _key(data)
    _usable(record)
    if "_symmetric_key" not in record or record["Origin"] != "AWS_KMS":
        raise _Refusal("UnsupportedOperationException", f"{record['Arn']} cannot be rotated on demand.")
    rotations = record.setdefault("_rotations", [])
    if len(rotations) >= _ROTATIONS_PER_KEY:
        raise _Refusal("LimitExceededException", "The on-demand rotation quota of this key is used up.")
    record.setdefault("_old_materials", {})[kms._key_material_id(record)] = record["_symmetric_key"]
    record["_symmetric_key"] = os.urandom(32)
    rotations.append({"at": time.time(), "material": kms._key_material_id(record)})
    return _answer({"KeyId": record["Arn"]})


def _list_rotations(data: Record) -> Reply:
    record = _key(data)
    rotated = {entry["material"]: entry["at"] for entry in record.get("_rotations", [])}
    listed = list(_materials(record)) if "_symmetric_key" in record else []
    if data.get("IncludeKeyMaterial") != "ALL_KEY_MATERIAL":
        listed = [material for material in listed if material in rotated]
    rotations = []
    for material in listed:
        entry = {
            "KeyId": record["Arn"],
            "KeyMaterialId": material,
            "KeyMaterialState": "CURRENT" if material == kms._key_material_id(record) else "NON_CURRENT",
        }
        if material in rotated:
            entry |= {"RotationDate": rotated[material], "RotationType": "ON_DEMAND"}
        rotations.append(entry)
    return _answer({"Rotations": rotations, "Truncated": False})


def _unless_pending_deletion(original: Callable[[Record], Reply]) -> Callable[[Record], Reply]:
    def move(data: Record) -> Reply:
        record = _key(data)
        if record["KeyState"] == "PendingDeletion":
            raise _Refusal("KMSInvalidStateException", f"{record['Arn']} is pending deletion.")
        return original(data)

    return move


def _only_pending_deletion(original: Callable[[Record], Reply]) -> Callable[[Record], Reply]:
    def cancel(data: Record) -> Reply:
        record = _key(data)
        if record["KeyState"] != "PendingDeletion":
            raise _Refusal("KMSInvalidStateException", f"{record['Arn']} is not pending deletion.")
        return original(data)

    return cancel


# --- requests and permissions ----------------------------------------------------------------------


def _handle(original: Callable[..., Any]) -> Callable[..., Any]:
    async def handle_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
    ) -> Reply:
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        data = json.loads(body or b"{}")
        caller = extract_access_key_id(headers, query_params)
        own = {"RotateKeyOnDemand": _rotate_on_demand, "ListKeyRotations": _list_rotations}
        try:
            if action == "ReEncrypt":
                reply = _denied_destination(caller, data) or _reencrypt(data)
            elif action == "PutKeyPolicy":
                reply = _put_policy(caller, data)
            elif action in own:
                reply = own[action](data)
            else:
                reply = await original(method, path, headers, body, query_params)
        except _Refusal as refusal:
            return refusal.reply
        if data.get("DryRun") and action in _DRY_RUN and reply[0] == 200:
            dry: Reply = kms._dry_run_error(action)
            return dry
        return reply

    return handle_request


def _put_policy(caller: str, data: Record) -> Reply:
    """AWS refuses a policy under which the caller could not put the next one."""
    record = _key(data)
    previous = record["Policy"]
    record["Policy"] = data.get("Policy", "")
    denied = iam_evaluator.enforce(caller, "kms:PutKeyPolicy", "kms", get_region(), resource_arn=record["Arn"])
    if denied is not None and not data.get("BypassPolicyLockoutSafetyCheck"):
        record["Policy"] = previous
        raise _Refusal(
            "MalformedPolicyDocumentException",
            "The new key policy will not allow you to update the key policy in the future.",
        )
    return _answer({})


def _denied_destination(caller: str, data: Record) -> Reply | None:
    arn = _key(data, "DestinationKeyId")["Arn"]
    denied = iam_evaluator.enforce(caller, "kms:ReEncryptTo", "kms", get_region(), resource_arn=arn)
    if denied is None:
        return None
    if isinstance(denied, iam_evaluator.AuthError):
        raise _Refusal(denied.code, denied.message)
    reply: Reply = iam_actions.access_denied_response(
        "kms", "kms:ReEncryptTo", denied.principal_arn, "", resource_arn=arn, explicit_deny=denied.decision == "Deny"
    )
    return reply


def _name_reencrypt(original: Callable[..., str | None]) -> Callable[..., str | None]:
    def extract(*arguments: Any) -> str | None:
        action = original(*arguments)
        return "kms:ReEncryptFrom" if action == "kms:ReEncrypt" else action

    return extract


def _resolve_aliases(original: Callable[..., str]) -> Callable[..., str]:
    def extract(service: str, *arguments: Any) -> str:
        arn = original(service, *arguments)
        record = kms._resolve_key(arn) if service == "kms" and arn.startswith("arn:") else None
        return record["Arn"] if record else arn

    return extract


def _honour_grants(original: Callable[..., Any]) -> Callable[..., Any]:
    """A grant allows what no policy allows; an explicit Deny still wins.  Grants with constraints are ignored."""

    def enforce(access_key: str, action: str, service: str, region: str, **scope: Any) -> Any:
        denied = original(access_key, action, service, region, **scope)
        if denied is None or service != "kms" or getattr(denied, "decision", "Deny") != "ImplicitDeny":
            return denied
        for grant in kms._grants.values():
            if (
                grant["KeyId"] == scope.get("resource_arn")
                and grant["GranteePrincipal"] == denied.principal_arn
                and action.removeprefix("kms:") in grant["Operations"]
                and not grant.get("Constraints")
            ):
                return None
        return denied

    return enforce
