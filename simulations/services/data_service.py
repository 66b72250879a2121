"""A service that reads and writes encrypted objects with its own credentials, and checks every byte that it reads."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from playbooks.refs import KeyRef
from simulations.journals import WorkloadConfig, WorkloadDataset
from simulations.seed import object_ids, plaintext, version_of
from simulations.services.own_access import OwnAccess
from simulations.services.request import Corrupt, Request


@dataclass(slots=True)
class _Known:
    """The last version written for sure, and whether a later write may have arrived all the same."""

    version: int = 0
    highest: int = 0

    def allows(self, version: int) -> bool:
        return self.version <= version <= self.highest


class DataService:
    """Makes one request after the other, over all datasets in turn.

    New objects are written under the key that ``settings.json`` names; a read tries that key and the one it began with.
    """

    def __init__(self, config: WorkloadConfig, access: OwnAccess) -> None:
        self._config = config
        self._access = access
        self._random = random.Random(config.seed)  # noqa: S311 - repeatable choices, no secret
        self._known: dict[tuple[str, str], _Known] = {}
        self._next = 0

    @property
    def kinds(self) -> set[tuple[str, str]]:
        """The kinds of request that must work: (dataset, operation)."""
        operations = ["read"] * (self._config.write_share < 1) + ["write"] * (self._config.write_share > 0)
        return {(str(dataset.ref), operation) for dataset in self._config.datasets for operation in operations}

    @property
    def key(self) -> str:
        """The keys that it writes under now, one after the other."""
        return " ".join(sorted({str(self._key(dataset)) for dataset in self._config.datasets}))

    def requests(self) -> Iterator[Request]:
        """Requests without end."""
        while True:
            dataset = self._config.datasets[self._next % len(self._config.datasets)]
            self._next += 1
            object_id = self._random.choice(object_ids(dataset.objects))
            if self._random.random() < self._config.write_share:
                yield self._write(dataset, object_id)
            else:
                yield self._read(dataset, object_id)

    def _write(self, dataset: WorkloadDataset, object_id: str) -> Request:
        known = self._known.setdefault((str(dataset.ref), object_id), _Known())
        version = known.highest + 1

        def run() -> None:
            known.highest = version
            content = plaintext(self._config.seed, str(dataset.ref), object_id, version)
            store = self._access.find("data", dataset.ref.scheme, dataset.ref.connection)
            store.write(
                dataset.ref, _place(dataset, object_id), content, key=self._key(dataset), keys=self._access.keys
            )
            known.version = version

        return Request("write", str(dataset.ref), object_id, version, run)

    def _read(self, dataset: WorkloadDataset, object_id: str) -> Request:
        known = self._known.setdefault((str(dataset.ref), object_id), _Known())

        def run() -> int:
            store = self._access.find("data", dataset.ref.scheme, dataset.ref.connection)
            candidates = list(dict.fromkeys([self._key(dataset), dataset.key]))
            place = _place(dataset, object_id)
            content: bytes = store.read(dataset.ref, place, candidates=candidates, keys=self._access.keys)
            version = version_of(content)
            if version is None or not known.allows(version):
                raise Corrupt(f"{dataset.ref}/{object_id} holds version {version}")
            if content != plaintext(self._config.seed, str(dataset.ref), object_id, version):
                raise Corrupt(f"{dataset.ref}/{object_id} does not hold what was written")
            return version

        return Request("read", str(dataset.ref), object_id, known.version, run)

    def _key(self, dataset: WorkloadDataset) -> KeyRef:
        return KeyRef.parse(self._access.setting(f"key.{dataset.ref}", str(dataset.key)))


def _place(dataset: WorkloadDataset, object_id: str) -> str:
    """Where the store keeps an object: a file of its name, or the row of its number."""
    return str(int(object_id)) if dataset.ref.scheme == "postgres" else object_id
