"""A signer's artifacts on disk: what it signed by its own ledger, and the signatures that relying parties check.

In the consumer's folder: ``ledger.ndjson`` (``{"at", "artifact_sha256", "name"}`` a line), ``artifacts/NAME`` and
``artifacts/NAME.sig.json`` (``artifact_sha256``, ``key``, ``key_spki_sha256``, ``signature`` in base64, ``at``).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from integrations.secrets import write_secret
from playbooks.errors import IntegrityFailure, InvalidInput
from playbooks.ports import Clock
from playbooks.refs import CertificateRef, KeyRef


class SignedArtifacts:
    """The artifacts of every signer below one root folder."""

    def __init__(self, root: Path, *, clock: Clock) -> None:
        self._root = root
        self._clock = clock

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Needs the option ``root``; InvalidInput when it is missing."""
        if "root" not in options:
            raise InvalidInput(f"connections: {name}: root is missing.", hint="Name the folder of the consumers.")
        return cls(Path(str(options["root"])), clock=clock)

    def resign(
        self,
        consumer: str,
        *,
        key: KeyRef,
        public_key: bytes,
        sign: Callable[[bytes], bytes],
        certificate: CertificateRef | None,
    ) -> int:
        """Sign every artifact that stands in the signer's ledger and is unchanged; returns how many bear the new key.

        ``public_key`` is SPKI DER; ``sign`` takes the artifact's bytes.  Signatures by the new key are left alone, each
        file is replaced atomically.  What is not in the ledger (a forgery) is never signed.
        Raises IntegrityFailure when an artifact no longer matches the digest the ledger holds.
        """
        folder = self._root / consumer / "artifacts"
        fingerprint = hashlib.sha256(public_key).hexdigest()
        count = 0
        for name, digest in self._ledger(consumer).items():
            signature_file = folder / f"{name}.sig.json"
            if _signed_by(signature_file) == fingerprint:
                count += 1
                continue
            content = (folder / name).read_bytes()
            if hashlib.sha256(content).hexdigest() != digest:
                raise IntegrityFailure(f"the artifact {name} differs from what {consumer} signed.", subject=consumer)
            document = {
                "artifact_sha256": digest,
                "key": str(key),
                "key_spki_sha256": fingerprint,
                "certificate": str(certificate) if certificate else "",
                "signature": base64.b64encode(sign(content)).decode(),
                "at": self._clock().isoformat(),
            }
            write_secret(f"file:{signature_file}", json.dumps(document))
            count += 1
        return count

    def close(self) -> None:
        """Nothing is held open."""

    def _ledger(self, consumer: str) -> dict[str, str]:
        place = self._root / consumer / "ledger.ndjson"
        if not place.exists():
            return {}
        lines = [line for line in place.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        return {entry["name"]: entry["artifact_sha256"] for entry in map(json.loads, lines)}


def _signed_by(signature_file: Path) -> str:
    if not signature_file.exists():
        return ""
    return str(json.loads(signature_file.read_text(encoding="utf-8")).get("key_spki_sha256", ""))
