"""What an exposure reaches, hop by hop with the reason in words, and what nobody knows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import rustworkx as rx
from pydantic import BaseModel, ConfigDict

from playbooks.errors import InvalidInput
from playbooks.estate import CertificateEntry, ConsumerEntry, CredentialEntry, DatasetEntry, Estate, KeyEntry
from playbooks.exposures import Exposure
from playbooks.latest import Latest
from playbooks.refs import KeyRef, Ref

Node = Ref | str
Entry = KeyEntry | DatasetEntry | CertificateEntry | CredentialEntry | ConsumerEntry

_WORDS = {
    "uses": "may use",
    "wraps": "wraps",
    "protects": "protects",
    "signs": "signs through",
    "authenticates": "authenticates",
    "reads": "reads the ciphertext of",
    "serves": "is used by",
}


class Reached(BaseModel):
    """Something that an exposure reaches.  ``path`` are the hops from the exposure, one sentence each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    path: tuple[str, ...] = ()


class BlastRadius(BaseModel):
    """Everything within reach, by sort and then by name, and what could not be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[Reached, ...] = ()
    datasets: tuple[Reached, ...] = ()
    certificates: tuple[Reached, ...] = ()
    credentials: tuple[Reached, ...] = ()
    consumers: tuple[Reached, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def key_refs(self) -> tuple[KeyRef, ...]:
        """The keys within reach, as references."""
        return tuple(KeyRef.parse(each.name) for each in self.keys)


class Graph:
    """The estate as a directed graph: an edge leads from what is exposed to what is then in danger.

    Build it once for many lookups; building takes time proportional to the estate, a lookup to what is reached.
    """

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self._graph: rx.PyDiGraph[Entry | None, str] = rx.PyDiGraph(multigraph=True)
        self._index: dict[Node, int] = {}
        self._consumer_credentials: dict[str, list[CredentialEntry]] = {}
        self._add_nodes()
        self._graph.extend_from_weighted_edge_list(self._edges())

    @classmethod
    def of(cls, estate: Estate) -> Graph:
        """The graph of an estate, built once for as long as no other is asked for."""
        return _LATEST.of(estate)

    def entry(self, index: int) -> Entry:
        """The estate's entry at a node; KeyError when there is none."""
        found = self._graph[index]
        if found is None:
            raise KeyError(index)
        return found

    def index(self, entry: Entry) -> int:
        """The node of an entry; KeyError when it is not of this estate."""
        return self._index[_node(entry)]

    def find(self, uri: str) -> int | None:
        """The node of a URI or consumer name; None when the estate does not list it."""
        found = self._index.get(uri)
        if found is not None:
            return found
        scheme, _, _ = uri.partition(":")
        from_uri = next((kind for kind in Ref.__subclasses__() if scheme in kind.schemes), None)
        return None if from_uri is None else self._index.get(from_uri.parse(uri))

    def listed(self, uri: str) -> type[Entry] | None:
        """As what the estate lists exactly this URI, letter by letter; None when it does not."""
        try:
            index = self.find(uri)
        except InvalidInput:
            return None
        return type(self.entry(index)) if index is not None and str(_node(self.entry(index))) == uri else None

    def siblings(self, entry: CredentialEntry) -> list[CredentialEntry]:
        """The other credentials of the same consumer."""
        return [each for each in self._consumer_credentials.get(entry.consumer, []) if each.ref != entry.ref]

    def leads_to_anything(self, index: int) -> bool:
        """Does a key protect, sign or wrap anything that is listed?"""
        return any(edge in ("protects", "signs", "wraps") for _, _, edge in self._graph.out_edges(index))

    def reach(self, starts: dict[int, tuple[str, ...]]) -> dict[int, tuple[int, str] | None]:
        """Every node within reach, nearest first, with the node and edge by which it was reached first."""
        came: dict[int, tuple[int, str] | None] = dict.fromkeys(starts)
        queue = deque(starts)
        while queue:
            here = queue.popleft()
            for _, there, edge in self._graph.out_edges(here):
                if there not in came:
                    came[there] = (here, edge)
                    queue.append(there)
        return came

    def _add_nodes(self) -> None:
        estate = self.estate
        entries: list[Entry] = [
            *estate.keys,
            *estate.datasets,
            *estate.certificates,
            *estate.credentials,
            *estate.consumers,
        ]
        for index, entry in zip(self._graph.add_nodes_from(entries), entries, strict=True):
            self._index[_node(entry)] = index
        for credential in estate.credentials:
            self._consumer_credentials.setdefault(credential.consumer, []).append(credential)

    def _edges(self) -> list[tuple[int, int, str]]:
        estate, index = self.estate, self._index
        named: list[tuple[Node, Node, str]] = [
            (key.wrapped_by, key.ref, "wraps") for key in estate.keys if key.wrapped_by is not None
        ]
        for dataset in estate.datasets:
            named.append((dataset.key, dataset.ref, "protects"))
            named.extend((reader, dataset.ref, "reads") for reader in dataset.readers)
        named.extend((each.key, each.ref, "signs") for each in estate.certificates)
        for credential in estate.credentials:
            named.append((credential.ref, credential.consumer, "authenticates"))
            named.extend((credential.ref, key, "uses") for key in credential.may_use)
        for consumer in estate.consumers:
            named.extend((key, consumer.name, "serves") for key in consumer.uses)
            named.extend((dataset_ref, consumer.name, "serves") for dataset_ref in consumer.datasets)
        return [(index[start], index[end], edge) for start, end, edge in named if start in index and end in index]


_LATEST = Latest(Graph)


def blast_radius(estate: Estate | Graph, exposures: Iterable[Exposure]) -> BlastRadius:
    """What the exposures reach together.

    A credential reaches the keys that it may use, their data, certificates and consumers; the credential through which
    something got out reaches the other credentials of its consumer too.  The graph of the
    estate that was asked for last is kept.
    """
    graph = estate if isinstance(estate, Graph) else Graph.of(estate)
    starts, unknown = _starts(graph, exposures)
    came = graph.reach(starts)
    groups: dict[type, list[Reached]] = {}
    for index in came:
        entry = graph.entry(index)
        groups.setdefault(type(entry), []).append(
            Reached(name=str(_node(entry)), path=_path(graph, came, starts, index))
        )
        unknown.extend(_gaps(entry))
    unknown.extend(_keys_without_data(graph, came))
    ordered = {kind: tuple(sorted(found, key=lambda each: each.name)) for kind, found in groups.items()}
    return BlastRadius(
        keys=ordered.get(KeyEntry, ()),
        datasets=ordered.get(DatasetEntry, ()),
        certificates=ordered.get(CertificateEntry, ()),
        credentials=ordered.get(CredentialEntry, ()),
        consumers=ordered.get(ConsumerEntry, ()),
        unknown=tuple(dict.fromkeys(unknown)),
    )


def to_text(radius: BlastRadius) -> str:
    """The blast radius for a terminal: each thing reached with its last reason, then what is unknown."""
    lines: list[str] = []
    for title in ("keys", "datasets", "certificates", "credentials", "consumers"):
        found: tuple[Reached, ...] = getattr(radius, title)
        if found:
            lines.append(f"{title} ({len(found)})")
            lines.extend(f"  {each.name}{f' – {each.path[-1]}' if each.path else ''}" for each in found)
    if not lines:
        lines.append("Nothing in the estate is reached.")
    if radius.unknown:
        lines.append(f"not known ({len(radius.unknown)})")
        lines.extend(f"  {each}" for each in radius.unknown)
    return "\n".join(lines)


def _starts(graph: Graph, exposures: Iterable[Exposure]) -> tuple[dict[int, tuple[str, ...]], list[str]]:
    starts: dict[int, tuple[str, ...]] = {}
    unknown: list[str] = []
    for exposure in exposures:
        index = graph.find(exposure.target)
        if index is None:
            unknown.append(f"{exposure.target} is not in the estate: what it reaches is not known")
        else:
            starts.setdefault(index, (f"{exposure.target} is exposed ({exposure.kind.value}).",))
        if not exposure.via:
            continue
        way = graph.find(exposure.via)
        entry = graph.entry(way) if way is not None else None
        if way is None or not isinstance(entry, CredentialEntry):
            unknown.append(f"{exposure.via}, through which it got out, is not in the estate")
            continue
        got_out = f"{exposure.target} got out through {exposure.via}."
        starts.setdefault(way, (got_out,))
        for sibling in graph.siblings(entry):
            shared = f"{sibling.ref} belongs to {entry.consumer} too, so it is suspect."
            starts.setdefault(graph.index(sibling), (got_out, shared))
    return starts, unknown


def _path(
    graph: Graph,
    came: dict[int, tuple[int, str] | None],
    starts: dict[int, tuple[str, ...]],
    index: int,
) -> tuple[str, ...]:
    hops: list[str] = []
    step = came[index]
    while step is not None:
        before, edge = step
        hops.append(f"{_node(graph.entry(before))} {_WORDS[edge]} {_node(graph.entry(index))}.")
        index, step = before, came[before]
    return (*starts[index], *reversed(hops))


def _node(entry: Entry) -> Node:
    return entry.name if isinstance(entry, ConsumerEntry) else entry.ref


def _gaps(entry: Entry) -> Iterable[str]:
    """What the estate does not say about one thing that is reached."""
    if isinstance(entry, DatasetEntry):
        if entry.backup_retention_days is None:
            yield f"backup retention of {entry.ref} is not known"
        if not entry.readers:
            yield f"who can read the ciphertext of {entry.ref} is not listed"
    if isinstance(entry, CredentialEntry) and not entry.may_use and entry.ref.scheme != "postgres-role":
        yield f"the keys that {entry.ref} may use are not listed"
    if isinstance(entry, KeyEntry | DatasetEntry | ConsumerEntry) and not entry.owner:
        yield f"{_node(entry)} has no owner"
    if isinstance(entry, ConsumerEntry) and not entry.channel:
        yield f"{entry.name} has no channel: it must be told by hand"


def _keys_without_data(graph: Graph, came: dict[int, tuple[int, str] | None]) -> Iterable[str]:
    """Keys that lead nowhere: either unused, or the inventory has a hole."""
    for index in came:
        entry = graph.entry(index)
        if isinstance(entry, KeyEntry) and not graph.leads_to_anything(index):
            what = "certificate" if entry.purpose == "sign" else "dataset"
            yield f"key {entry.ref} has no {what} listed"
