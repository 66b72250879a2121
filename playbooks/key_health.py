"""What is wrong with the keys of the estate before one leaks: weak, exportable, overdue, ownerless, unused …"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from heapq import merge

from playbooks.cryptoperiods import protecting_since, rotate_by
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
    OVERDUE = "overdue"
    OWNERLESS = "ownerless"
    UNUSED = "unused"
    NEVER_DRILLED = "never drilled"
    QUANTUM_VULNERABLE = "quantum-vulnerable"
    AGE_UNKNOWN = "age unknown"
    NOT_READ = "not read"


Weaknesses = tuple[Weakness, ...]
"""All of one key, the most urgent first."""
Groups = Mapping[Weaknesses, Sequence[KeyEntry]]
_ORDER = {each: number for number, each in enumerate(Weakness)}

WORDS = {
    Weakness.WEAK: "Its strength is under 112 bits (NIST SP 800-57 Part 1 r5, table 2).",
    Weakness.EXPORTABLE: "Its backend lets the key out, so that a thief needs it once only.",
    Weakness.OVERDUE: "Its cryptoperiod is over (NIST SP 800-57 Part 1 r5, 5.3): rotate it.",
    Weakness.OWNERLESS: "Nobody is named whom to call when it leaks.",
    Weakness.UNUSED: "No data, certificate, credential or service of the inventory hangs on it.",
    Weakness.NEVER_DRILLED: "No drill was ever about it.",
    Weakness.QUANTUM_VULNERABLE: "A large quantum computer would break its algorithm (NIST IR 8547).",
    Weakness.AGE_UNKNOWN: "Neither its backend nor the inventory says since when it protects.",
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
    """One key and what is wrong with it.

    ``algorithm`` is "" when it was never read, ``rotate_by`` (the last day of its cryptoperiod) None when its age is
    not known or it protects nothing.
    """

    ref: str
    owner: str
    purpose: str
    algorithm: str
    rotate_by: date | None
    weaknesses: Weaknesses


class Healths:
    """Every key of an estate on one day, the most urgent first; quick also for a million of them.

    Most keys of a big inventory were neither read nor drilled, and stand in a few groups that lack the same; only the
    others are looked at one by one.
    """

    def __init__(self, estate: Estate, facts: Mapping[str, KeyFacts], drilled: Collection[str], *, today: date) -> None:
        untouched = _UNTOUCHED.of(estate)
        self._groups = untouched.groups(today)
        listed = untouched.lookup.keys
        touched = {ref: listed[ref] for uri in {*facts, *drilled} if (ref := _key(uri)) in listed}
        self._touched = frozenset(touched)
        self._looked_at: dict[Weaknesses, list[KeyHealth]] = {}
        self._sizes = Counter({lacking: len(keys) for lacking, keys in self._groups.items()})
        for ref, entry in touched.items():
            used, known = untouched.used(entry), facts.get(str(ref))
            health = _health(entry, known, used=used, drilled=str(ref) in drilled, today=today)
            self._looked_at.setdefault(health.weaknesses, []).append(health)
            self._sizes[health.weaknesses] += 1
            self._sizes[_health(entry, None, used=used, drilled=False, today=today).weaknesses] -= 1
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
                keys = self._groups.get(lacking, ())
                others = (_unread(each, lacking) for each in keys if each.ref not in self._touched)
                yield from merge(self._looked_at.get(lacking, ()), others, key=lambda each: each.ref)


class _Untouched:
    """The keys by what they lack as long as nobody has read or drilled them; made once for an estate.

    Only keys with a date in the inventory lack something new by the passing of days.
    """

    def __init__(self, estate: Estate) -> None:
        self.lookup = Lookup.of(estate)
        self._keys = sorted(estate.keys, key=lambda entry: str(entry.ref))
        self._used = [self.used(entry) for entry in self._keys]
        self._dated = any(entry.protecting_since for entry in self._keys)
        self._on: tuple[date, Groups] | None = None

    def used(self, entry: KeyEntry) -> bool:
        """Does anything hang on the key?"""
        ref, by = entry.ref, self.lookup
        return any(ref in each for each in (by.datasets, by.certificates, by.users, by.using, by.wrapped))

    def groups(self, today: date) -> Groups:
        """The keys that lack the same on this day, each group by URI; kept until they may be others."""
        if self._on is None or (self._dated and self._on[0] != today):
            groups: dict[Weaknesses, list[KeyEntry]] = {}
            for entry, used in zip(self._keys, self._used, strict=True):
                lacking = _health(entry, None, used=used, drilled=False, today=today).weaknesses
                groups.setdefault(lacking, []).append(entry)
            self._on = (today, groups)
        return self._on[1]


_UNTOUCHED = Latest(_Untouched)


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


def _health(entry: KeyEntry, facts: KeyFacts | None, *, used: bool, drilled: bool, today: date) -> KeyHealth:
    due = rotate_by(entry, facts)
    holds = {
        Weakness.WEAK: facts is not None and weak(facts.algorithm),
        Weakness.EXPORTABLE: facts is not None and bool(facts.extractable),
        Weakness.OVERDUE: due is not None and due < today,
        Weakness.OWNERLESS: not entry.owner,
        Weakness.UNUSED: not used,
        Weakness.NEVER_DRILLED: not drilled,
        Weakness.QUANTUM_VULNERABLE: facts is not None and quantum_vulnerable(facts.algorithm),
        Weakness.AGE_UNKNOWN: facts is not None and protecting_since(entry, facts) is None,
        Weakness.NOT_READ: facts is None,
    }
    weaknesses = tuple(each for each in Weakness if holds[each])
    return KeyHealth(str(entry.ref), entry.owner, entry.purpose, facts.algorithm if facts else "", due, weaknesses)


def _unread(entry: KeyEntry, weaknesses: Weaknesses) -> KeyHealth:
    return KeyHealth(str(entry.ref), entry.owner, entry.purpose, "", rotate_by(entry, None), weaknesses)


def _key(uri: str) -> KeyRef | None:
    """The key of a URI; None for what names no key (a drill may be about a credential)."""
    try:
        return KeyRef.parse(uri)
    except InvalidInput:
        return None
