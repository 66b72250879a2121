"""Disable a KMS key and show it dead: through the adapter, against the bare boto3 calls, interleaved.

The reference makes the same two claims with no care: ``DisableKey``, then one ``Decrypt`` over a client made ahead.
The adapter also reads the state, keeps a ciphertext for later probes and opens a fresh session for the probe.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from integrations.keys.aws_kms import AwsKms
from playbooks.receipts import Outcome
from playbooks.refs import KeyRef
from simulations.lab.aws_account import RECOVERY_POLICY
from simulations.lab.ministack import MiniStack
from simulations.lab.processes import Processes

ROUNDS = 40


def run() -> dict[str, Any]:
    """Milliseconds (median) from the first call to the refused probe; ``ratio`` is the reference over ours."""
    with tempfile.TemporaryDirectory() as folder, Processes(Path(folder)) as processes:
        lab = MiniStack.start(processes, Path(folder))
        recovery = lab.create_user("recovery", RECOVERY_POLICY)
        options = lab.connection_options(recovery.credential, recovery.arn)
        backend = AwsKms.open("bench", options, clock=lambda: datetime.now(UTC))
        ours, reference = [], []
        for _ in range(ROUNDS):
            reference.append(_bare(lab.client("kms"), lab.create_key("bare")))
            ours.append(_adapter(backend, KeyRef.parse(f"aws-kms:bench/{lab.create_key('ours')}")))
        backend.close()
        lab.close()
    mine, bare = statistics.median(ours[5:]), statistics.median(reference[5:])
    p95 = statistics.quantiles(ours[5:], n=20)[-1]
    return {
        "name": f"AWS KMS: disable, proven dead (p95 {p95:.0f} ms)",
        "ours": round(mine, 2),
        "reference": round(bare, 2),
        "ratio": round(bare / mine, 2),
        "target": 0.1,
        "unit": "ms",
    }


def _adapter(backend: AwsKms, key: KeyRef) -> float:
    started = time.perf_counter()
    backend.disable(key)
    result = backend.probe(key, operation="decrypt", expected="refused")
    elapsed = (time.perf_counter() - started) * 1000
    if result.outcome is not Outcome.REFUSED:
        raise RuntimeError(f"the probe was {result.outcome}")
    return elapsed


def _bare(kms: Any, key: str) -> float:
    blob = kms.encrypt(KeyId=key, Plaintext=b"probe")["CiphertextBlob"]
    started = time.perf_counter()
    kms.disable_key(KeyId=key)
    try:
        kms.decrypt(KeyId=key, CiphertextBlob=blob)
    except ClientError as error:
        if error.response["Error"]["Code"] == "DisabledException":
            return (time.perf_counter() - started) * 1000
        raise
    raise RuntimeError("the key still decrypts")


if __name__ == "__main__":
    print(run())
