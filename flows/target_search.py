"""Finds what of the estate a person means by a few words: names, owners and consumers, and words that are nearly so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from playbooks.desk import Target
from playbooks.estate import Estate

_WORD = re.compile(r"[a-z0-9]+")
_NEAR = 0.75


def search(estate: Estate, text: str, *, limit: int) -> list[Target]:
    """Entries in which every word stands, whole, as a beginning or inside; best first.

    When no entry has all the words, those that come near a word are taken for it.  Without words: everything, in the
    order of the estate.
    """
    words = _words(text)
    entries = list(_entries(estate))
    scored = [(_score(words, known), target) for target, known in entries]
    if words and not any(score for score, _ in scored):
        everything = sorted({each for _, known in entries for each in known})
        words = [(get_close_matches(word, everything, n=1, cutoff=_NEAR) or [word])[0] for word in words]
        scored = [(_score(words, known), target) for target, known in entries]
    found = sorted((each for each in scored if each[0] or not words), key=lambda each: -each[0])
    return [target for _, target in found[:limit]]


def label_of(estate: Estate, uri: str) -> str:
    """The name by which people recognise an entry; the URI itself when the estate has none."""
    return next((target.label for target, _ in _entries(estate) if target.uri == uri), uri)


def _entries(estate: Estate) -> Iterator[tuple[Target, tuple[str, ...]]]:
    """Each entry with the words by which it is found."""
    for key in estate.keys:
        users = [each.name for each in estate.consumers if key.ref in each.uses]
        label = f"key {key.ref.path} ({key.ref.connection})" + (f", used by {', '.join(users)}" if users else "")
        target = Target(str(key.ref), label, "key", key.owner)
        yield target, _known(target, key.purpose, *users)
    for credential in estate.credentials:
        owner = next((each.owner for each in estate.consumers if each.name == credential.consumer), "")
        label = f"credential of {credential.consumer}: {credential.ref.path} ({credential.ref.connection})"
        target = Target(str(credential.ref), label, "credential", owner)
        yield target, _known(target, credential.consumer)
    for dataset in estate.datasets:
        label = f"dataset {dataset.ref.path} ({dataset.ref.connection})"
        target = Target(str(dataset.ref), label, "dataset", dataset.owner)
        yield target, _known(target, dataset.classification)


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
