"""The estate as the strategies ask about it: who uses what, and what hangs on a key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from playbooks.estate import CertificateEntry, ConsumerEntry, CredentialEntry, DatasetEntry, Estate
from playbooks.refs import KeyRef


@dataclass(slots=True)
class Lookup:
    """Answers in the order of the estate; built once per plan."""

    estate: Estate
    datasets: dict[KeyRef, list[DatasetEntry]] = field(default_factory=lambda: defaultdict(list))
    certificates: dict[KeyRef, list[CertificateEntry]] = field(default_factory=lambda: defaultdict(list))
    users: dict[KeyRef, list[CredentialEntry]] = field(default_factory=lambda: defaultdict(list))
    wrapped: dict[KeyRef, list[KeyRef]] = field(default_factory=lambda: defaultdict(list))
    credentials: dict[str, CredentialEntry] = field(default_factory=dict)
    of_consumer: dict[str, list[CredentialEntry]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, estate: Estate) -> Lookup:
        """Index an estate."""
        found = cls(estate)
        for dataset in estate.datasets:
            found.datasets[dataset.key].append(dataset)
        for certificate in estate.certificates:
            found.certificates[certificate.key].append(certificate)
        for credential in estate.credentials:
            found.credentials[str(credential.ref)] = credential
            found.of_consumer[credential.consumer].append(credential)
            for key in credential.may_use:
                found.users[key].append(credential)
        for entry in estate.keys:
            if entry.wrapped_by is not None:
                found.wrapped[entry.wrapped_by].append(entry.ref)
        return found

    def below(self, keys: Iterable[KeyRef]) -> list[KeyRef]:
        """The keys that these wrap, directly or through others; not these themselves."""
        start = list(keys)
        seen, queue, found = set(start), start, []
        while queue:
            for inner in self.wrapped.get(queue.pop(0), []):
                if inner not in seen:
                    seen.add(inner)
                    queue.append(inner)
                    found.append(inner)
        return found

    def readers(self, key: KeyRef) -> list[CredentialEntry]:
        """Credentials that can read ciphertext under the key."""
        refs = dict.fromkeys(reader for dataset in self.datasets.get(key, []) for reader in dataset.readers)
        return [self.credentials[str(ref)] for ref in refs if str(ref) in self.credentials]

    def consumers(self, key: KeyRef) -> list[ConsumerEntry]:
        """Services that stop when the key does: they use it, its data, or hold a credential for it."""
        data = {dataset.ref for dataset in self.datasets.get(key, [])}
        holders = {credential.consumer for credential in self.users.get(key, [])}
        return [
            consumer
            for consumer in self.estate.consumers
            if key in consumer.uses or consumer.name in holders or data.intersection(consumer.datasets)
        ]

    def consumer(self, name: str) -> ConsumerEntry | None:
        """The service of this name, if the estate lists it."""
        return next((entry for entry in self.estate.consumers if entry.name == name), None)
