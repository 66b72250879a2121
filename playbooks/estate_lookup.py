"""The estate asked for one thing: who uses what, and what hangs on a key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from playbooks.estate import CertificateEntry, ConsumerEntry, CredentialEntry, DatasetEntry, Estate, KeyEntry
from playbooks.latest import Latest
from playbooks.refs import DatasetRef, KeyRef, Ref


@dataclass(slots=True)
class Lookup:
    """Answers in the order of the estate."""

    estate: Estate
    keys: dict[KeyRef, KeyEntry] = field(default_factory=dict)
    key_of: dict[DatasetRef, KeyRef] = field(default_factory=dict)
    datasets: dict[KeyRef, list[DatasetEntry]] = field(default_factory=lambda: defaultdict(list))
    certificates: dict[KeyRef, list[CertificateEntry]] = field(default_factory=lambda: defaultdict(list))
    users: dict[KeyRef, list[CredentialEntry]] = field(default_factory=lambda: defaultdict(list))
    wrapped: dict[KeyRef, list[KeyRef]] = field(default_factory=lambda: defaultdict(list))
    credentials: dict[str, CredentialEntry] = field(default_factory=dict)
    of_consumer: dict[str, list[CredentialEntry]] = field(default_factory=lambda: defaultdict(list))
    using: dict[Ref, list[int]] = field(default_factory=lambda: defaultdict(list))
    named: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, estate: Estate) -> Lookup:
        """The index of an estate, built once for as long as no other is asked for."""
        return _LATEST.of(estate)

    @classmethod
    def build(cls, estate: Estate) -> Lookup:
        """Index an estate."""
        found = cls(estate)
        for number, consumer in enumerate(estate.consumers):
            found.named.setdefault(consumer.name, number)
            for used in dict.fromkeys((*consumer.uses, *consumer.datasets)):
                found.using[used].append(number)
        for dataset in estate.datasets:
            found.datasets[dataset.key].append(dataset)
            found.key_of.setdefault(dataset.ref, dataset.key)
        for certificate in estate.certificates:
            found.certificates[certificate.key].append(certificate)
        for credential in estate.credentials:
            found.credentials[str(credential.ref)] = credential
            found.of_consumer[credential.consumer].append(credential)
            for key in credential.may_use:
                found.users[key].append(credential)
        for entry in estate.keys:
            found.keys.setdefault(entry.ref, entry)
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
        holders = (credential.consumer for credential in self.users.get(key, []))
        found = {self.named[name] for name in holders if name in self.named}
        for used in (key, *(dataset.ref for dataset in self.datasets.get(key, []))):
            found.update(self.using.get(used, ()))
        return [self.estate.consumers[number] for number in sorted(found)]

    def consumer(self, name: str) -> ConsumerEntry | None:
        """The service of this name, if the estate lists it."""
        return self.estate.consumers[self.named[name]] if name in self.named else None

    def in_order(self, names: Iterable[str]) -> list[ConsumerEntry]:
        """The services of these names that are listed, in the order of the estate."""
        return [
            self.estate.consumers[number]
            for number in sorted({self.named[each] for each in names if each in self.named})
        ]


_LATEST = Latest(Lookup.build)
