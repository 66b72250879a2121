"""The signer and its customers: signs new artifacts with its HSM key, and shows old ones to the relying party."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from integrations.secrets import write_secret
from playbooks.refs import KeyRef
from simulations.journals import SigningService, Submission, Verdict, WorkloadConfig
from simulations.seed import artifact
from simulations.services.own_access import OwnAccess
from simulations.services.request import Rejected, Request


class Signer:
    """Makes one request after the other: ``sign`` a new artifact, or ``verify`` one that was signed before.

    An artifact is written, then its signature, then the ledger line (synced): what the ledger names is there.
    """

    def __init__(self, config: WorkloadConfig, signing: SigningService, access: OwnAccess) -> None:
        self._config = config
        self._signing = signing
        self._access = access
        self._random = random.Random(config.seed)  # noqa: S311 - repeatable choices, no secret
        self._names = _ledger_names(config.settings)
        self._count = len(self._names)
        self._url = f"http://127.0.0.1:{signing.relying_party_port}/verify"
        self._http = httpx.Client(timeout=httpx.Timeout(5.0, connect=2.0), trust_env=False)

    @property
    def kinds(self) -> set[tuple[str, str]]:
        """The kinds of request that must work: (key at the start, operation)."""
        return {(str(self._signing.key), operation) for operation in ("sign", "verify")}

    @property
    def key(self) -> str:
        """The key that it signs with now."""
        return self._access.setting("signing_key", str(self._signing.key))

    def requests(self) -> Iterator[Request]:
        """Requests without end; the first ones sign, since there may be nothing to verify yet."""
        while True:
            if len(self._names) < 3 or self._random.random() < self._config.write_share:
                yield self._sign()
            else:
                yield self._verify(self._random.choice(self._names))

    def _sign(self) -> Request:
        self._count += 1
        name = f"release-{self._count:05d}.bin"

        def run() -> None:
            content = artifact(self._config.seed, name)
            digest = hashlib.sha256(content).hexdigest()
            key = KeyRef.parse(self.key)
            backend: Any = self._access.find("keys", key.scheme, key.connection)
            signature: bytes = backend.sign(key, content)
            public: bytes = backend.public_key(key)
            at = datetime.now(UTC).isoformat(timespec="microseconds")
            folder = self._config.settings / "artifacts"
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
            document = {
                "artifact_sha256": digest,
                "key": str(key),
                "key_spki_sha256": hashlib.sha256(public).hexdigest(),
                "certificate": self._access.setting("certificate", str(self._signing.certificate)),
                "signature": base64.b64encode(signature).decode(),
                "at": at,
            }
            write_secret(f"file:{folder / name}.sig.json", json.dumps(document))
            _append(self._config.settings / "ledger.ndjson", {"at": at, "artifact_sha256": digest, "name": name})
            self._names.append(name)

        return Request("sign", str(self._signing.key), name, 0, run)

    def _verify(self, name: str) -> Request:
        def run() -> None:
            folder = self._config.settings / "artifacts"
            signature = json.loads((folder / f"{name}.sig.json").read_text(encoding="utf-8"))
            submission = Submission(
                name=name,
                artifact=base64.b64encode((folder / name).read_bytes()).decode(),
                key=signature["key"],
                key_spki_sha256=signature["key_spki_sha256"],
                signature=signature["signature"],
            )
            answer = self._http.post(self._url, json=submission.model_dump())
            verdict = Verdict.model_validate_json(answer.content)
            if not verdict.accepted:
                raise Rejected(verdict.code)

        return Request("verify", str(self._signing.key), name, 0, run)


def _ledger_names(folder: Path) -> list[str]:
    path = folder / "ledger.ndjson"
    if not path.exists():
        return []
    return [json.loads(line)["name"] for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def _append(path: Path, line: dict[str, str]) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
