"""What is wrong with the keys of the estate before one leaks: ownerless, weak, exportable, unused, never drilled."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import merge

from playbooks.errors import InvalidInput
from playbooks.estate import Estate, KeyEntry
from playbooks.estate_lookup import Lookup
from playbooks.keys import KeyFacts
from playbooks.latest import Latest
from playbooks.refs import KeyRef


class Weakness(StrEnum):
    """What can be wrong with a key; the order is that of urgency."""

    WEAK = "weak"
    EXPORTABLE = "exportable"
    OWNERLESS = "ownerless"
    UNUSED = "unused"
    NEVER_DRILLED = "never drilled"
    QUANTUM_VULNERABLE = "quantum-vulnerable"
    NOT_READ = "not read"


Weaknesses = tuple[Weakness, ...]
"""All of one key, the most urgent first."""
_ORDER = {each: number for number, each in enumerate(Weakness)}

WORDS = {
    Weakness.WEAK: "Its strength is under 112 bits (NIST SP 800-57 Part 1 r5, table 2).",
    Weakness.EXPORTABLE: "Its backend lets the key out, so that a thief needs it once only.",
    Weakness.OWNERLESS: "Nobody is named whom to call when it leaks.",
    Weakness.UNUSED: "No data, certificate, credential or service of the inventory hangs on it.",
    Weakness.NEVER_DRILLED: "No exercise was ever about it.",
    Weakness.QUANTUM_VULNERABLE: "A large quantum computer would break its algorithm (NIST IR 8547).",
    Weakness.NOT_READ: "No case has read it from its backend, so that its algorithm is not known here.",
}
"""Each weakness as a sentence."""

_QUANTUM = re.compile(r"^(RSA|EC|ECDSA|ECDH|DSA|DH|Ed25519|Ed448|X25519|X448)\b", re.IGNORECASE)
_SHORT = re.compile(r"^(?:RSA|DSA|DH)-(\d+)", re.IGNORECASE)
_CURVE = re.compile(r"^EC-[A-Z]+-?(\d+)", re.IGNORECASE)
_BROKEN = re.compile(r"^(DES|3DES|TDEA|DESede|RC4|RC2|Blowfish)\b", re.IGNORECASE)
_LEAST_MODULUS, _LEAST_CURVE = 2048, 224


@dataclass(frozen=True, slots=True)
class KeyHealth:
    """One key and what is wrong with it; ``algorithm`` is "" when it was never read."""

    ref: str
    owner: str
    purpose: str
    algorithm: str
    weaknesses: Weaknesses


class Healths:
    """Every key of an estate, the most urgent first; quick also for a million of them.

    Most keys of a big inventory were neither read nor drilled, and stand in a few groups that lack the same; only the
    others are looked at one by one.
    """

    def __init__(self, estate: Estate, facts: Mapping[str, KeyFacts], drilled: Collection[str]) -> None:
        self._untouched = _UNTOUCHED.of(estate)
        listed = self._untouched.lookup.keys
        touched = {ref: listed[ref] for uri in {*facts, *drilled} if (ref := _key(uri)) in listed}
        self._touched = frozenset(touched)
        self._looked_at: dict[Weaknesses, list[KeyHealth]] = {}
        self._sizes = Counter({lacking: len(keys) for lacking, keys in self._untouched.groups.items()})
        for ref, entry in touched.items():
            health = _health(entry, facts.get(str(ref)), used=self._untouched.used(entry), drilled=str(ref) in drilled)
            self._looked_at.setdefault(health.weaknesses, []).append(health)
            self._sizes[health.weaknesses] += 1
            self._sizes[self._untouched.lacking(entry)] -= 1
        for each in self._looked_at.values():
            each.sort(key=lambda health: health.ref)

    def __len__(self) -> int:
        return self._sizes.total()

    def __iter__(self) -> Iterator[KeyHealth]:
        return self.having()

    @property
    def wanting(self) -> int:
        """How many lack anything."""
        return len(self) - self._sizes[()]

    def count(self, only: Weakness) -> int:
        """How many have this weakness."""
        return sum(size for lacking, size in self._sizes.items() if only in lacking)

    def counted(self) -> dict[Weakness, int]:
        """How many have each weakness; weaknesses that no key has are left out."""
        return {each: count for each in Weakness if (count := self.count(each))}

    def having(self, only: Weakness | None = None) -> Iterator[KeyHealth]:
        """Those with this weakness, or all."""
        for lacking in sorted(self._sizes, key=_urgency):
            if only is None or only in lacking:
                keys = self._untouched.groups.get(lacking, ())
                others = (_unread(each, lacking) for each in keys if each.ref not in self._touched)
                yield from merge(self._looked_at.get(lacking, ()), others, key=lambda each: each.ref)


@dataclass(frozen=True, slots=True)
class _Untouched:
    """The keys by what they lack as long as nobody has read or drilled them, each group by URI."""

    lookup: Lookup
    groups: Mapping[Weaknesses, Sequence[KeyEntry]]

    @classmethod
    def build(cls, estate: Estate) -> _Untouched:
        made = cls(Lookup.of(estate), {})
        groups: dict[Weaknesses, list[KeyEntry]] = {}
        for entry in estate.keys:
            groups.setdefault(made.lacking(entry), []).append(entry)
        for each in groups.values():
            each.sort(key=lambda entry: str(entry.ref))
        return cls(made.lookup, groups)

    def used(self, entry: KeyEntry) -> bool:
        """Does anything hang on the key?"""
        ref, by = entry.ref, self.lookup
        return any(ref in each for each in (by.datasets, by.certificates, by.users, by.using, by.wrapped))

    def lacking(self, entry: KeyEntry) -> Weaknesses:
        """What an untouched key lacks."""
        return _health(entry, None, used=self.used(entry), drilled=False).weaknesses


_UNTOUCHED = Latest(_Untouched.build)


def weak(algorithm: str) -> bool:
    """Does it give less than 112 bits?  Unknown names are not called weak."""
    short, curve = _SHORT.match(algorithm), _CURVE.match(algorithm)
    return bool(
        _BROKEN.match(algorithm)
        or (short and int(short[1]) < _LEAST_MODULUS)
        or (curve and int(curve[1]) < _LEAST_CURVE)
    )


def quantum_vulnerable(algorithm: str) -> bool:
    """Would Shor's algorithm break it?"""
    return bool(_QUANTUM.match(algorithm))


def _urgency(weaknesses: Weaknesses) -> tuple[bool, list[int]]:
    return not weaknesses, [_ORDER[each] for each in weaknesses]


def _health(entry: KeyEntry, facts: KeyFacts | None, *, used: bool, drilled: bool) -> KeyHealth:
    holds = {
        Weakness.WEAK: facts is not None and weak(facts.algorithm),
        Weakness.EXPORTABLE: facts is not None and bool(facts.extractable),
        Weakness.OWNERLESS: not entry.owner,
        Weakness.UNUSED: not used,
        Weakness.NEVER_DRILLED: not drilled,
        Weakness.QUANTUM_VULNERABLE: facts is not None and quantum_vulnerable(facts.algorithm),
        Weakness.NOT_READ: facts is None,
    }
    weaknesses = tuple(each for each in Weakness if holds[each])
    return KeyHealth(str(entry.ref), entry.owner, entry.purpose, facts.algorithm if facts else "", weaknesses)


def _unread(entry: KeyEntry, weaknesses: Weaknesses) -> KeyHealth:
    return KeyHealth(str(entry.ref), entry.owner, entry.purpose, "", weaknesses)


def _key(uri: str) -> KeyRef | None:
    """The key of a URI; None for what names no key (a drill may be about a credential)."""
    try:
        return KeyRef.parse(uri)
    except InvalidInput:
        return None
