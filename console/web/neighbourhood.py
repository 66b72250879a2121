"""What is drawn of an estate: an exposure's blast radius and what leads to it, up to a stated number of things."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from console.web.layers import Edge, Item, Layout, lay_out
from playbooks.blast_radius import BlastRadius, Entry, Graph, Reached
from playbooks.estate import CertificateEntry, ConsumerEntry, CredentialEntry, DatasetEntry, Estate, KeyEntry
from playbooks.visible import visible

MOST_IN_COLUMN = 12
"""So many things of one kind are drawn; the rest is counted."""
KINDS = ("credentials", "keys", "datasets", "certificates", "consumers")
"""The kinds as ``BlastRadius`` names them, in the order in which they are shown."""
WORDS = {
    "credentials": ("credential", "credentials"),
    "keys": ("key", "keys"),
    "datasets": ("dataset", "datasets"),
    "certificates": ("certificate", "certificates"),
    "consumers": ("service", "services"),
}
"""One and many of each kind."""
_HOW = {
    "uses": "it can be used",
    "wraps": "it can be unwrapped",
    "protects": "it can be decrypted",
    "signs": "it can be forged",
    "authenticates": "can be impersonated",
    "reads": "its ciphertext can be read",
    "serves": "it relies on what is reached",
}
"""What is then possible with something, by the edge over which it is reached."""
_CREDENTIALS, _KEYS, _THINGS, _SERVICES = 0, 1, 100, 101
_LETTERS = 20


@dataclass(frozen=True, slots=True)
class Box:
    """One thing as it is drawn.  ``state``: exposed, reached, or near (it leads to what is reached, or is listed)."""

    name: str
    label: str
    kind: str
    state: str
    how: str
    unknown: bool
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """One edge as it is drawn; ``lit`` when danger passes over it."""

    path: str
    word: str
    start: str
    end: str
    lit: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """``left_out`` counts what is reached but not drawn, by kind; ``titles`` are the columns' left sides and words."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    titles: tuple[tuple[float, str], ...]
    left_out: Mapping[str, int]

    @property
    def words(self) -> str:
        """The picture in a sentence, for whoever does not see it."""
        parts = [f"{each.start} {each.word} {each.end}" for each in self.lines if each.lit]
        return "; ".join(parts) or "Nothing is lit."


def whole(estate: Estate) -> Picture | None:
    """The whole inventory, when it is small enough to be drawn; else None."""
    parts = (estate.credentials, estate.keys, estate.datasets, estate.certificates, estate.consumers)
    if not any(parts) or max(map(len, parts)) > MOST_IN_COLUMN:
        return None
    entries: list[Entry] = [each for part in parts for each in part]
    return _draw(entries, lit={}, exposed=frozenset(), unknown=frozenset(), left_out={})


def around(graph: Graph, radius: BlastRadius, exposed: Collection[str], leading: Iterable[Entry]) -> Picture:
    """The blast radius, the nearest first, and the ``leading`` entries beside it as far as there is room."""
    chosen: dict[str, Entry] = {}
    lit: dict[str, int] = {}
    left_out: dict[str, int] = {}
    for kind in KINDS:
        reached: tuple[Reached, ...] = getattr(radius, kind)
        nearest = sorted(reached, key=lambda each: (each.name not in exposed, len(each.path), each.name))
        for each in nearest[:MOST_IN_COLUMN]:
            index = graph.find(each.name)
            if index is not None:
                chosen[each.name] = graph.entry(index)
                lit[each.name] = len(each.path)
        if len(reached) > MOST_IN_COLUMN:
            left_out[kind] = len(reached) - MOST_IN_COLUMN
    room = Counter(dict.fromkeys(KINDS, MOST_IN_COLUMN)) - Counter(kind_of(each) for each in chosen.values())
    for entry in leading:
        if name_of(entry) not in chosen and room[kind_of(entry)] > 0:
            chosen[name_of(entry)] = entry
            room[kind_of(entry)] -= 1
    unknown = _mentioned(radius.unknown, frozenset(chosen))
    return _draw(list(chosen.values()), lit=lit, exposed=frozenset(exposed), unknown=unknown, left_out=left_out)


def leading_to(estate: Estate, names: Collection[str]) -> Iterator[Entry]:
    """What an exposure of these does not reach, but leads to them: credentials that use a key, keys that wrap it."""
    wanted = frozenset(names)
    wrapping = {each.wrapped_by for each in estate.keys if each.wrapped_by is not None and str(each.ref) in wanted}
    if wrapping:
        yield from (each for each in estate.keys if each.ref in wrapping)
    yield from (each for each in estate.credentials if any(str(key) in wanted for key in each.may_use))


def name_of(entry: Entry) -> str:
    """Its URI, or the name of a service."""
    return entry.name if isinstance(entry, ConsumerEntry) else str(entry.ref)


def kind_of(entry: Entry) -> str:
    """Its kind, one of ``KINDS``."""
    match entry:
        case KeyEntry():
            return "keys"
        case DatasetEntry():
            return "datasets"
        case CertificateEntry():
            return "certificates"
        case CredentialEntry():
            return "credentials"
        case ConsumerEntry():
            return "consumers"


def _draw(
    entries: list[Entry],
    *,
    lit: Mapping[str, int],
    exposed: frozenset[str],
    unknown: frozenset[str],
    left_out: Mapping[str, int],
) -> Picture:
    drawn = {name_of(each): each for each in entries}
    columns = _columns(drawn)
    named = [each for each in _edges(entries) if each[0] in drawn and columns[each[0]] < columns.get(each[2], -1)]
    how = _first_ways(named, lit)
    made: Layout = lay_out([Item(name, columns[name]) for name in drawn], [Edge(start, end) for start, _, end in named])
    boxes = [
        Box(
            name=name,
            label=_short(entry),
            kind=WORDS[kind_of(entry)][0],
            state="exposed" if name in exposed else "reached" if name in lit else "near",
            how=how.get(name, ""),
            unknown=name in unknown,
            x=made.boxes[name][0],
            y=made.boxes[name][1],
        )
        for name, entry in drawn.items()
    ]
    lines = [
        Line(path, word, start, end, start in lit and end in lit)
        for path, (start, word, end) in zip(made.paths, named, strict=True)
    ]
    titles = tuple((x, _title(column)) for column, x in sorted(made.columns.items()))
    lines.sort(key=lambda each: each.lit)
    return Picture(made.width, made.height, tuple(boxes), tuple(lines), titles, dict(left_out))


def _edges(entries: Iterable[Entry]) -> Iterator[tuple[str, str, str]]:
    """(start, word, end) of everything that the entries say of one another."""
    for each in entries:
        name = name_of(each)
        match each:
            case KeyEntry():
                if each.wrapped_by is not None:
                    yield str(each.wrapped_by), "wraps", name
            case DatasetEntry():
                yield str(each.key), "protects", name
                yield from ((str(reader), "reads", name) for reader in each.readers)
            case CertificateEntry():
                yield str(each.key), "signs", name
            case CredentialEntry():
                yield name, "authenticates", each.consumer
                yield from ((name, "uses", str(key)) for key in each.may_use)
            case ConsumerEntry():
                yield from ((str(used), "serves", name) for used in (*each.uses, *each.datasets))


def _columns(drawn: Mapping[str, Entry]) -> dict[str, int]:
    """Credentials, keys, the keys that these wrap, data and certificates, services."""
    wrapped = {
        name: str(each.wrapped_by)
        for name, each in drawn.items()
        if isinstance(each, KeyEntry) and each.wrapped_by is not None
    }

    def depth(name: str) -> int:
        above: set[str] = set()
        while name in wrapped and wrapped[name] in drawn and name not in above:
            above.add(name)
            name = wrapped[name]
        return len(above)

    places = {"credentials": _CREDENTIALS, "datasets": _THINGS, "certificates": _THINGS, "consumers": _SERVICES}
    return {
        name: _KEYS + depth(name) if isinstance(each, KeyEntry) else places[kind_of(each)]
        for name, each in drawn.items()
    }


def _first_ways(named: Iterable[tuple[str, str, str]], lit: Mapping[str, int]) -> dict[str, str]:
    """How each thing is reached, over the edge that is nearest to the exposure."""
    nearest: dict[str, tuple[int, str]] = {}
    for start, word, end in named:
        if start in lit and end in lit and lit[start] < lit[end]:
            nearest[end] = min(nearest.get(end, (lit[start], word)), (lit[start], word))
    return {name: _HOW[word] for name, (_, word) in nearest.items()}


def _mentioned(sentences: Iterable[str], names: frozenset[str]) -> frozenset[str]:
    return frozenset(word for each in sentences for part in each.split() if (word := part.rstrip(":,.")) in names)


def _title(column: int) -> str:
    return {
        _CREDENTIALS: "Credentials",
        _KEYS: "Keys",
        _THINGS: "Data and certificates",
        _SERVICES: "Services",
    }.get(column, "Keys they wrap")


def _short(entry: Entry) -> str:
    """The end of a name, which tells it from its neighbours."""
    text = visible(entry.name if isinstance(entry, ConsumerEntry) else entry.ref.path)
    return text if len(text) <= _LETTERS else f"…{text[1 - _LETTERS :]}"
