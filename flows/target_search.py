"""Finds what of the estate a person means by a few words: names, owners and consumers, and words that are nearly so."""

from __future__ import annotations

import re
from difflib import get_close_matches
from itertools import islice

from playbooks.blast_radius import Graph
from playbooks.desk import Target
from playbooks.estate import CredentialEntry, DatasetEntry, Estate, KeyEntry
from playbooks.estate_lookup import Lookup
from playbooks.estate_words import EstateWords, Named, users_of

_WORD = re.compile(r"[a-z0-9]+")
_NEAR = 0.75
_MOST = 500
"""So many entries are weighed; who has more must say more words."""
_NEAR_AMONG = 5_000
"""Words that are nearly so are looked for in inventories up to this size."""


def search(estate: Estate, text: str, *, limit: int) -> list[Target]:
    """Entries in which every word stands, whole, as a beginning or inside; best first.

    Of more than ``_MOST`` that hold every word the first in the estate are weighed.
    When no entry has all the words, those that come near a word are taken for it.  Without words: everything, in the
    order of the estate.
    """
    words = _words(text)
    index, lookup = EstateWords.of(estate), Lookup.of(estate)
    candidates = list(islice(index.holding(words), _MOST))
    near = not candidates and len(index) <= _NEAR_AMONG
    if near:
        candidates = list(index.holding(()))
    entries = [(target, _known(target, *more)) for target, more in (_target(each, lookup) for each in candidates)]
    if near:
        everything = sorted({each for _, known in entries for each in known})
        words = [(get_close_matches(word, everything, n=1, cutoff=_NEAR) or [word])[0] for word in words]
    scored = [(_score(words, known), target) for target, known in entries]
    found = sorted((each for each in scored if each[0] or not words), key=lambda each: -each[0])
    return [target for _, target in found[:limit]]


def label_of(estate: Estate, uri: str) -> str:
    """The name by which people recognise an entry; the URI itself when the estate has none."""
    graph = Graph.of(estate)
    index = graph.find(uri) if graph.listed(uri) is not None else None
    entry = graph.entry(index) if index is not None else None
    if isinstance(entry, KeyEntry | CredentialEntry | DatasetEntry):
        return _target(entry, Lookup.of(estate))[0].label
    return uri


def _target(entry: Named, lookup: Lookup) -> tuple[Target, tuple[str, ...]]:
    """The entry, and what it is found by beside that."""
    uri, place = str(entry.ref), f"{entry.ref.path} ({entry.ref.connection})"
    match entry:
        case KeyEntry():
            users = users_of(entry, lookup)
            label = f"key {place}" + (f", used by {', '.join(users)}" if users else "")
            return Target(uri, label, "key", entry.owner), (entry.purpose, *users)
        case CredentialEntry():
            consumer = lookup.consumer(entry.consumer)
            label = f"credential of {entry.consumer}: {place}"
            return Target(uri, label, "credential", consumer.owner if consumer else ""), (entry.consumer,)
        case DatasetEntry():
            return Target(uri, f"dataset {place}", "dataset", entry.owner), (entry.classification,)


def _known(target: Target, *more: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_words(" ".join((target.uri, target.label, target.owner, *more)))))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _score(words: list[str], known: tuple[str, ...]) -> float:
    """0 when a word is missing; a whole word weighs more than a beginning, that more than a part."""
    total = 0.0
    for word in words:
        best = max((_weight(word, each) for each in known), default=0.0)
        if not best:
            return 0.0
        total += best
    return total


def _weight(word: str, known: str) -> float:
    if word == known:
        return 3.0
    if known.startswith(word):
        return 2.0
    return 1.0 if word in known else 0.0
