"""Finds the entries of an inventory in which some words stand, also among a million, in the order of the inventory."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from playbooks.estate import CredentialEntry, DatasetEntry, Estate, KeyEntry
from playbooks.estate_lookup import Lookup
from playbooks.latest import Latest

Named = KeyEntry | CredentialEntry | DatasetEntry


class EstateWords:
    """All that names keys, credentials and datasets in one text, a line each: faster to search than objects."""

    def __init__(self, estate: Estate) -> None:
        self._entries: tuple[Sequence[Named], ...] = (estate.keys, estate.credentials, estate.datasets)
        lookup = Lookup.of(estate)
        lines = [_line(each, lookup) for entries in self._entries for each in entries]
        self._text = "\n".join(lines)
        self._starts = array("Q")
        start = 0
        for line in lines:
            self._starts.append(start)
            start += len(line) + 1

    @classmethod
    def of(cls, estate: Estate) -> EstateWords:
        """Made once for as long as no other estate is asked for."""
        return _LATEST.of(estate)

    def __len__(self) -> int:
        return len(self._starts)

    def entry(self, number: int) -> Named:
        """Keys first, then credentials, then datasets, each in the order of the estate."""
        for entries in self._entries:
            if number < len(entries):
                return entries[number]
            number -= len(entries)
        raise IndexError(number)

    def holding(self, words: Sequence[str]) -> Iterator[Named]:
        """The entries in which every word stands, whatever its case; all of them when there is no word."""
        folded = sorted((each.casefold() for each in words), key=len, reverse=True)
        if not folded:
            yield from (self.entry(number) for number in range(len(self)))
            return
        place = self._text.find(folded[0])
        while place >= 0:
            number = bisect_right(self._starts, place) - 1
            end = self._starts[number + 1] if number + 1 < len(self) else len(self._text)
            line = self._text[self._starts[number] : end]
            if all(word in line for word in folded):
                yield self.entry(number)
            place = self._text.find(folded[0], end)


def users_of(entry: KeyEntry, lookup: Lookup) -> list[str]:
    """The services that use a key, in the order of the estate."""
    return [lookup.estate.consumers[number].name for number in lookup.using.get(entry.ref, ())]


def _line(entry: Named, lookup: Lookup) -> str:
    match entry:
        case KeyEntry():
            words = ["key", str(entry.ref), entry.purpose, entry.owner, *users_of(entry, lookup)]
        case CredentialEntry():
            consumer = lookup.consumer(entry.consumer)
            words = ["credential", str(entry.ref), entry.consumer, consumer.owner if consumer else ""]
        case DatasetEntry():
            words = ["dataset", str(entry.ref), entry.classification, entry.owner]
    return " ".join(words).replace("\n", " ").casefold()


_LATEST = Latest(EstateWords)
