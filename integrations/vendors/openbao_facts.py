"""What OpenBao's answers say about a transit key: algorithm, state, versions, and which moves this token may make."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from integrations.vendors.openbao import OpenBaoSession, mount_and_name, transit_state
from playbooks.keys import Capability, KeyFacts, KeyState
from playbooks.refs import KeyRef

_ALGORITHMS = {
    "aes128-gcm96": "AES-128-GCM",
    "aes256-gcm96": "AES-256-GCM",
    "chacha20-poly1305": "ChaCha20-Poly1305",
    "xchacha20-poly1305": "XChaCha20-Poly1305",
    "ed25519": "Ed25519",
    "ecdsa-p256": "EC-P256",
    "ecdsa-p384": "EC-P384",
    "ecdsa-p521": "EC-P521",
    "rsa-2048": "RSA-2048",
    "rsa-3072": "RSA-3072",
    "rsa-4096": "RSA-4096",
}

_WRITE = frozenset({"create", "update"})
_NO_WINDOW = "OpenBao deletes at once: it has no deletion window."
_NO_GRANTS = "OpenBao has no grants on a key: rights come from policies; use quarantine or cut the token."
_NO_USAGE = "OpenBao answers no query about use: its audit log is read by the openbao-audit detector."


def facts_from(key: KeyRef, config: Mapping[str, Any], session: OpenBaoSession, *, now: datetime) -> KeyFacts:
    """Facts from a key's configuration and from what the server says that this token may do."""
    possible, unavailable = _moves(key, config, session)
    kind = str(config["type"])
    versions = sorted(int(version) for version in config.get("keys") or {})
    return KeyFacts(
        ref=key,
        algorithm=_ALGORITHMS.get(kind, kind),
        purpose="sign" if config.get("supports_signing") else "encrypt",
        state=transit_state(config),
        version=str(config["latest_version"]),
        versions=tuple(str(version) for version in versions),
        protecting_since=_made(config),
        extractable=bool(config.get("exportable") or config.get("allow_plaintext_backup")),
        containment_unit="key",
        capabilities=frozenset(possible),
        unavailable=unavailable,
        read_at=now,
    )


def _made(config: Mapping[str, Any]) -> datetime | None:
    """When the latest version was made: seconds since 1970 for a secret key, an RFC 3339 time for a pair."""
    latest = (config.get("keys") or {}).get(str(config["latest_version"]))
    if isinstance(latest, int):
        return datetime.fromtimestamp(latest, UTC)
    if isinstance(latest, Mapping) and latest.get("creation_time"):
        return datetime.fromisoformat(str(latest["creation_time"])).astimezone(UTC)
    return None


def _moves(
    key: KeyRef, config: Mapping[str, Any], session: OpenBaoSession
) -> tuple[set[Capability], dict[Capability, str]]:
    needs = _needs(key)
    paths = sorted({path for wanted in needs.values() for path, _ in wanted})
    allowed = session.call("POST", "sys/capabilities-self", subject=key, body={"paths": paths}).data
    unavailable = {
        Capability.SCHEDULE_DELETION: _NO_WINDOW,
        Capability.REVOKE_GRANTS: _NO_GRANTS,
        Capability.READ_USAGE: _NO_USAGE,
    } | _limits(config)
    for capability, wanted in needs.items():
        if capability in unavailable:
            continue
        missing = [path for path, rights in wanted if not (rights | {"root"}) & set(allowed.get(path, ()))]
        if missing:
            unavailable[capability] = f"this connection's token may not use {', '.join(missing)}."
    return set(needs) - set(unavailable), unavailable


def _limits(config: Mapping[str, Any]) -> dict[Capability, str]:
    """Moves that the key itself rules out, whoever asks."""
    kind, found = config["type"], {}
    if not (config.get("supports_encryption") and config.get("supports_decryption")):
        for capability in (Capability.WRAP, Capability.REWRAP, Capability.STOP_ENCRYPTION):
            found[capability] = f"a key of type {kind} does not encrypt."
    if not config.get("supports_signing"):
        found[Capability.SIGN] = f"a key of type {kind} does not sign."
    if transit_state(config) is KeyState.SUSPENDED:
        stopped = (Capability.WRAP, Capability.REWRAP, Capability.SIGN, Capability.ROTATE, Capability.STOP_ENCRYPTION)
        for capability in stopped:
            found.setdefault(capability, "the key is soft-deleted: restore it first.")
    return found


def _needs(key: KeyRef) -> dict[Capability, list[tuple[str, frozenset[str]]]]:
    mount, name = mount_and_name(key)
    keys, delete, listing = f"{mount}/keys", frozenset({"delete"}), frozenset({"list"})
    config = (f"{keys}/{name}/config", _WRITE)
    rotate = (f"{keys}/{name}/rotate", _WRITE)
    notes = [(f"{keys}/keyquell-{name}", _WRITE), (keys, listing)]
    use = {verb: (f"{mount}/{verb}/{name}", _WRITE) for verb in ("encrypt", "decrypt", "rewrap", "sign")}
    return {
        Capability.DISABLE: [(f"{keys}/{name}/soft-delete", delete), (f"{keys}/{name}/soft-delete-restore", _WRITE)],
        Capability.QUARANTINE: [
            ("sys/policies/acl", listing),
            ("sys/policies/acl/any", frozenset({"read"})),
            ("sys/policies/acl/any", _WRITE),
        ],
        Capability.STOP_ENCRYPTION: [rotate, config, *notes],
        Capability.CREATE: [(f"{keys}/{name}-successor", _WRITE)],
        Capability.ROTATE: [rotate, *notes],
        Capability.REWRAP: [use["rewrap"], use["decrypt"], use["encrypt"]],
        Capability.WRAP: [use["encrypt"], use["decrypt"]],
        Capability.SIGN: [use["sign"]],
        Capability.DESTROY: [config, (f"{keys}/{name}", delete)],
    }
