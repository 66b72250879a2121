"""Effects that show, from outside, that the old is dead and the new works."""

from __future__ import annotations

import time

from flows.effects import StepContext, StepResult, prove
from playbooks.refs import CredentialRef, KeyRef, parse_ref


def probe_old(context: StepContext) -> StepResult:
    """The old key or credential must be refused, tried afresh."""
    target = parse_ref(context.step.target)
    secret = context.text("secret", "")
    if isinstance(target, CredentialRef):
        adapter = context.wiring.credentials(target)
        return prove(context, lambda: adapter.probe_credential(target, secret=secret, expected="refused")).settle(None)
    key = KeyRef.parse(context.step.target)
    backend = context.wiring.keys(key)
    operation = context.text("operation", "sign" if backend.describe(key).purpose == "sign" else "decrypt")
    proof = prove(context, lambda: backend.probe(key, operation=operation, expected="refused", identity=secret))
    return proof.settle(None)


def probe_new(context: StepContext) -> StepResult:
    """The successor must work, tried afresh."""
    key = context.key("new_key")
    backend = context.wiring.keys(key)
    operation = "sign" if backend.describe(key).purpose == "sign" else "decrypt"
    return prove(context, lambda: backend.probe(key, operation=operation, expected="worked")).settle(None)


def check_consumer(context: StepContext) -> StepResult:
    """The consumer says itself that it works, and says so after it was switched."""
    consumer = context.step.target
    policy = context.wiring.settings.policy
    channel = context.wiring.consumer(consumer)
    asked_at = context.wiring.clock()
    deadline = time.monotonic() + policy.containment_deadline_seconds
    while True:
        health = channel.health(consumer)
        if health is not None and health.ok and health.at >= asked_at:
            return StepResult("proven", detail=health.detail or "It works.")
        if time.monotonic() > deadline:
            said = "nothing" if health is None else health.detail or "not ok"
            return StepResult("not-proven", detail=f"{consumer} said {said} until the deadline.")
        time.sleep(0.05)
