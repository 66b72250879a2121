"""After the drill: every object is read by the independent reader and compared with what it must hold."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.x509 import load_pem_x509_certificate

from playbooks.errors import KeyquellError, NotFound
from playbooks.ports import Clock, WrappedKey
from playbooks.refs import CertificateRef, KeyRef
from simulations.adapters import Adapters
from simulations.environments import Environment, table
from simulations.journals import WorkloadDataset, WorkloadRequest
from simulations.results import DataScore
from simulations.seed import artifact, object_ids, plaintext
from simulations.services.trust import signature_holds


@dataclass(slots=True)
class History:
    """The versions of one object that may be found: the last confirmed one, and any that was tried after it."""

    confirmed: int = 0
    tried: set[int] = field(default_factory=set)

    def allows(self, version: int) -> bool:
        """May the object hold this version?"""
        return version == self.confirmed or version in self.tried


def histories(requests: Iterable[WorkloadRequest]) -> Mapping[tuple[str, str], History]:
    """What each (dataset, object) may hold, from the service's own journal; untouched objects hold version 0."""
    found: dict[tuple[str, str], History] = defaultdict(History)
    for request in requests:
        if request.operation != "write":
            continue
        history = found[(request.dataset, request.object)]
        if request.ok:
            history.confirmed = request.plaintext_version
            history.tried.clear()
        else:
            history.tried.add(request.plaintext_version)
    return found


def holds(seed: int, dataset: str, object_id: str, content: bytes, history: History) -> bool:
    """Is this byte for byte a version that the object may hold?"""
    versions: Sequence[int] = (history.confirmed, *sorted(history.tried))
    return any(content == plaintext(seed, dataset, object_id, version) for version in versions)


def verify(environment: Environment, *, seed: int, requests: Sequence[WorkloadRequest], clock: Clock) -> DataScore:
    """Read everything back and compare; an object that cannot be read, or holds something else, is lost.

    Only what opens under the key that is in use now counts as off the old one.
    """
    told = _settings(environment.consumer_settings)
    known = histories(requests)
    verified = lost = on_old = 0
    with Adapters(environment.connections, clock=clock) as adapters:
        for readable, old in _findings(environment, adapters, told, known, seed):
            verified += readable
            lost += not readable
            on_old += old
    return DataScore(objects=verified + lost, verified=verified, lost=lost, on_old_key=on_old)


def _findings(
    environment: Environment,
    adapters: Adapters,
    told: Mapping[str, str],
    known: Mapping[tuple[str, str], History],
    seed: int,
) -> Iterator[tuple[bool, bool]]:
    """For each object: is it as it must be, and is it still under the old key?"""
    for dataset in environment.datasets:
        new = KeyRef.parse(told.get(f"key.{dataset.ref}", str(dataset.key)))
        stored = _stored(environment, dataset)
        for object_id in object_ids(dataset.objects):
            opener = _Opener(adapters, new=new, old=dataset.key)
            content = _read(
                dataset,
                object_id,
                stored.get(table.row_of(object_id) if dataset.ref.scheme == "postgres" else object_id, b""),
                opener,
            )
            history = known.get((str(dataset.ref), object_id), History())
            yield holds(seed, str(dataset.ref), object_id, content, history), opener.used_old
    if environment.signer is not None:
        yield from _signatures(environment.signer, adapters, environment.signing_key, seed)


class _Opener:
    """Unwraps data keys for the reader: under the new key, else under the old one, and remembers which it was."""

    def __init__(self, adapters: Adapters, *, new: KeyRef, old: KeyRef) -> None:
        self._adapters = adapters
        self._new = new
        self._old = old
        self.used_old = False

    def __call__(self, _provider: str, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        last: Exception = NotFound("no key opens this data key")
        for key in dict.fromkeys((self._new, self._old)):
            [answer] = self._adapters.keys(key).unwrap(key, [WrappedKey(wrapped, dict(context))])
            self.used_old = key == self._old
            if isinstance(answer, bytes):
                return answer
            last = answer
        raise last


def _stored(environment: Environment, dataset: WorkloadDataset) -> dict[str, bytes]:
    """The objects of a dataset as they lie in the store."""
    options = environment.connections[dataset.ref.connection]
    if dataset.ref.scheme == "postgres":
        return dict(table.stored_values(options))
    folder = Path(str(options["root"])) / dataset.ref.path
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name[0] != "."}


def _read(dataset: WorkloadDataset, object_id: str, stored: bytes, opener: _Opener) -> bytes:
    """The plaintext by the vendors' own libraries; empty when it cannot be read."""
    from simulations.reader import read_esdk, read_tink

    try:
        if dataset.envelope == "esdk":
            return read_esdk(stored, unwrap=opener)[0]
        return read_tink(stored, row_id=table.row_of(object_id), unwrap=opener)
    except KeyquellError:
        return b""


def _signatures(folder: Path, adapters: Adapters, old: KeyRef | None, seed: int) -> Iterator[tuple[bool, bool]]:
    """Every artifact of the signer's ledger: its content, and its signature against the certificate that it names."""
    ledger = folder / "ledger.ndjson"
    for line in ledger.read_text(encoding="utf-8").splitlines() if ledger.exists() else []:
        name = json.loads(line)["name"]
        content = artifact(seed, name)
        try:
            whole = (folder / "artifacts" / name).read_bytes() == content
            signature = json.loads((folder / "artifacts" / f"{name}.sig.json").read_text(encoding="utf-8"))
            ref = CertificateRef.parse(signature["certificate"])
            pem: Any = adapters.find("certificates", ref.scheme, ref.connection).certificate(ref)
            certificate = load_pem_x509_certificate(str(pem).encode())
            holds_true = signature_holds(certificate, base64.b64decode(signature["signature"]), content)
        except (OSError, ValueError, KeyError, KeyquellError):
            yield False, False
        else:
            yield whole and holds_true, signature["key"] == str(old)


def _settings(folder: Path | None) -> dict[str, str]:
    path = folder / "settings.json" if folder else None
    if path is None or not path.exists():
        return {}
    values: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return values
