"""Effects that stop the attacker."""

from __future__ import annotations

from flows.effects import Proof, StepContext, StepResult, prove
from playbooks.errors import Unavailable
from playbooks.ports import Probes, ProbesSessions
from playbooks.receipts import ProbeResult, Receipt
from playbooks.refs import KeyRef


def cut_credential(context: StepContext) -> StepResult:
    """Make the credential useless, then try it from a fresh session."""
    credential = context.credential()
    adapter = context.wiring.credentials(credential)
    secret = context.text("secret", "")
    receipt: Receipt = adapter.cut(credential, secret=secret)
    context.accepted()
    if not secret:
        return StepResult("done", receipt, detail="Not probed: the estate names no secret reference for it.")
    proof = prove(context, lambda: adapter.probe_credential(credential, secret=secret, expected="refused"))
    return proof.settle(receipt)


def revoke_sessions(context: StepContext) -> StepResult:
    """End what was minted from the credential, then try a session that was minted before the cut."""
    credential = context.credential()
    adapter = context.wiring.credentials(credential)
    secret = context.text("secret", "")
    receipt: Receipt = adapter.revoke_sessions(credential, secret=secret)
    if not isinstance(adapter, ProbesSessions):
        return StepResult("done", receipt, detail="Not probed: the attacker's own sessions cannot be tried from here.")
    try:
        proof = prove(context, lambda: adapter.probe_sessions(credential, secret=secret, expected="refused"))
    except Unavailable as nothing:
        return StepResult("done", receipt, detail=f"Not shown: {nothing.message}")
    return proof.settle(receipt)


def revoke_grants(context: StepContext) -> StepResult:
    """End delegated rights on the key."""
    key = context.key()
    return StepResult(
        "done", context.wiring.keys(key).revoke_grants(key, principal=context.text("principal", "")), detail=""
    )


def quarantine_key(context: StepContext) -> StepResult:
    """Leave the key to the recovery identity, then try it with the exposed credential and as ourselves."""
    key = context.key()
    backend = context.wiring.keys(key)
    receipt: Receipt = backend.quarantine(key, allow=tuple(context.texts("allow")))
    identity = context.text("secret", "")
    if not identity:
        own = prove(context, lambda: _try_key(backend, key, "decrypt", "worked"))
        result = own.settle(receipt, detail="Only shown that the recovery identity still decrypts.")
        return StepResult("done" if own.holds else "not-proven", receipt, result.probes, {}, result.detail)
    refused = prove(context, lambda: _try_key(backend, key, "decrypt", "refused", identity))
    return refused.settle(receipt)


def stop_encryption(context: StepContext) -> StepResult:
    """Forbid new encryption under the exposed material, then try to encrypt under it."""
    key = context.key()
    backend = context.wiring.keys(key)
    receipt: Receipt = backend.stop_encryption(key)
    return _refused(context, backend, key, "encrypt").settle(receipt)


def disable_key(context: StepContext) -> StepResult:
    """Stop all use of the key, then try to use it."""
    key = context.key()
    backend = context.wiring.keys(key)
    receipt: Receipt = backend.disable(key)
    operation = "sign" if backend.describe(key).purpose == "sign" else "decrypt"
    return _refused(context, backend, key, operation).settle(receipt)


def cancel_deletion(context: StepContext) -> StepResult:
    """Stop a pending deletion."""
    key = context.key()
    return StepResult("done", context.wiring.keys(key).cancel_deletion(key, undo={}))


def _refused(context: StepContext, backend: Probes, key: KeyRef, operation: str) -> Proof:
    return prove(context, lambda: _try_key(backend, key, operation, "refused"))


def _try_key(backend: Probes, key: KeyRef, operation: str, expected: str, identity: str = "") -> ProbeResult:
    return backend.probe(key, operation=operation, expected=expected, identity=identity)
