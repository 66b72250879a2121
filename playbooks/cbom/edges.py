"""What depends on what: the edges of the estate as CycloneDX dependencies, and the references of any document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from playbooks.cbom.components import algorithm_ref
from playbooks.cbom.properties import Entry
from playbooks.estate import CertificateEntry, ConsumerEntry, CredentialEntry, DatasetEntry, KeyEntry
from playbooks.keys import KeyFacts

Nodes = dict[str, tuple[str, Entry]]
"""Kind and entry by ``bom-ref``."""


def bom_ref(kind: str, name: str) -> str:
    """Where an entry stands in the document: its kind, and its URI or a consumer's name."""
    return f"{kind}:{name}"


def edges(nodes: Nodes, facts: Mapping[str, KeyFacts]) -> list[dict[str, Any]]:
    """One dependency for each node, empty where it depends on nothing.

    ``dependsOn``: a wrapped key on the wrapping one, data and certificates on their key, a credential on what it opens,
    a consumer on its credentials, keys and data.  ``provides``: a key the algorithm that it was read to implement.
    What the estate does not list is left out here; the properties name it.
    """
    needs: dict[str, dict[str, None]] = {name: {} for name in nodes}
    for _, entry in nodes.values():
        for source, target in _of(entry):
            if source in nodes and target in nodes:
                needs[source][target] = None
    provided = {bom_ref("key", uri): [algorithm_ref(fact)] for uri, fact in facts.items()}
    return [
        {"ref": name}
        | ({"dependsOn": list(targets)} if targets else {})
        | ({"provides": provided[name]} if name in provided else {})
        for name, targets in needs.items()
    ]


def _of(entry: Entry) -> Iterator[tuple[str, str]]:
    """Pairs of (who depends, on what)."""
    match entry:
        case KeyEntry():
            if entry.wrapped_by is not None:
                yield bom_ref("key", str(entry.ref)), bom_ref("key", str(entry.wrapped_by))
        case DatasetEntry():
            here = bom_ref("dataset", str(entry.ref))
            yield here, bom_ref("key", str(entry.key))
            yield from ((bom_ref("credential", str(each)), here) for each in entry.readers)
        case CredentialEntry():
            here = bom_ref("credential", str(entry.ref))
            yield bom_ref("consumer", entry.consumer), here
            yield from _to("key", here, entry.may_use)
        case CertificateEntry():
            yield bom_ref("certificate", str(entry.ref)), bom_ref("key", str(entry.key))
        case ConsumerEntry():
            here = bom_ref("consumer", entry.name)
            yield from _to("key", here, entry.uses)
            yield from _to("dataset", here, entry.datasets)


def _to(kind: str, here: str, targets: Iterable[object]) -> Iterator[tuple[str, str]]:
    return ((here, bom_ref(kind, str(each))) for each in targets)
