"""Effects that give the service something sound to work with again."""

from __future__ import annotations

from flows.effects import StepContext, StepResult, prove
from playbooks.errors import InvalidInput
from playbooks.receipts import Receipt
from playbooks.refs import CertificateRef


def create_key(context: StepContext) -> StepResult:
    """Make the successor, then try it."""
    old = context.key()
    backend = context.wiring.keys(old)
    new, receipt = backend.create(like=old, marker=context.marker)
    operation = "sign" if backend.describe(new).purpose == "sign" else "decrypt"
    proof = prove(context, lambda: backend.probe(new, operation=operation, expected="worked"))
    return proof.settle(receipt, key=str(new))


def rotate_key(context: StepContext) -> StepResult:
    """New material under the same name."""
    key = context.key()
    return StepResult("done", context.wiring.keys(key).rotate(key, marker=context.marker), outputs={"key": str(key)})


def switch_key(context: StepContext) -> StepResult:
    """Point aliases and consumers at the successor, and read back what they will see."""
    old, new = context.key(), context.key("new_key")
    receipt: Receipt = context.wiring.keys(old).switch(old=old, new=new)
    datasets = context.texts("datasets")
    values = {f"key.{dataset}": str(new) for dataset in datasets} or {"signing_key": str(new)}
    if "certificate" in context.inputs:
        values["certificate"] = context.text("certificate")
    told = [_tell(context, consumer, values) for consumer in context.texts("consumers")]
    missing = [name for name, seen in told if not seen]
    detail = f"By hand: {', '.join(missing)}." if missing else ""
    return StepResult("done", receipt, outputs={"switched_at": receipt.accepted_at.isoformat()}, detail=detail)


def issue_credential(context: StepContext) -> StepResult:
    """Issue the successor of a cut credential into the consumer's own secret file."""
    old = context.credential()
    adapter = context.wiring.credentials(old)
    deliver_to = context.text("deliver_to")
    new, receipt = adapter.issue(like=old, marker=context.marker, deliver_to=deliver_to)
    _tell(context, context.text("consumer"), {"credential": str(new), f"credential.{old}": str(new)})
    proof = prove(context, lambda: adapter.probe_credential(new, secret=deliver_to, expected="worked"))
    return proof.settle(receipt, credential=str(new))


def issue_certificate(context: StepContext) -> StepResult:
    """Certify the successor of a signing key; the request is signed inside the HSM."""
    old, new_key = context.certificate(), context.key("new_key")
    subject = context.text("subject", "")
    request = context.wiring.keys(new_key).csr_pem(new_key, subject)
    issuer = context.wiring.certificates(old)
    new, receipt = issuer.issue_certificate(like=old, csr_pem=request, marker=context.marker)
    return StepResult("done", receipt, outputs={"certificate": str(new)})


def resign(context: StepContext) -> StepResult:
    """Sign every artifact of the signer's own ledger again, so that it outlives the cut-off."""
    consumer = context.step.target
    new_key = context.key("new_key")
    certificate = CertificateRef.parse(context.text("certificate")) if "certificate" in context.inputs else None
    artifacts = context.wiring.artifacts(consumer)
    backend = context.wiring.keys(new_key)
    count = artifacts.resign(
        consumer,
        key=new_key,
        public_key=backend.public_key(new_key),
        sign=lambda message: backend.sign(new_key, message),
        certificate=certificate,
    )
    return StepResult("done", outputs={"resigned": count}, detail=f"{count} artifacts signed again.")


def _tell(context: StepContext, consumer: str, values: dict[str, str]) -> tuple[str, bool]:
    try:
        channel = context.wiring.consumer(consumer)
    except InvalidInput:
        return consumer, False
    channel.publish(consumer, values=values)
    seen = channel.published(consumer)
    return consumer, all(seen.get(name) == value for name, value in values.items())
