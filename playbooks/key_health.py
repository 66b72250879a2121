"""What is wrong with the keys of the estate before one leaks: ownerless, weak, exportable, unused, never drilled."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from playbooks.estate import Estate, KeyEntry
from playbooks.keys import KeyFacts


class Weakness(StrEnum):
    """What can be wrong with a key; the order is that of urgency."""

    WEAK = "weak"
    EXPORTABLE = "exportable"
    OWNERLESS = "ownerless"
    UNUSED = "unused"
    NEVER_DRILLED = "never drilled"
    QUANTUM_VULNERABLE = "quantum-vulnerable"
    NOT_READ = "not read"


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
    weaknesses: tuple[Weakness, ...]


def health_of(estate: Estate, facts: Mapping[str, KeyFacts], drilled: Collection[str]) -> list[KeyHealth]:
    """Every key, the most urgent first; ``facts`` as last read and ``drilled`` are by the key's URI."""
    used = _used(estate)
    found = [_one(entry, facts.get(str(entry.ref)), used, drilled) for entry in estate.keys]
    order = list(Weakness)
    found.sort(key=lambda each: (not each.weaknesses, [order.index(one) for one in each.weaknesses], each.ref))
    return found


def counted(found: Collection[KeyHealth]) -> dict[Weakness, int]:
    """How many keys have each weakness; weaknesses that no key has are left out."""
    tally = Counter(one for each in found for one in each.weaknesses)
    return {each: tally[each] for each in Weakness if tally[each]}


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


def _one(entry: KeyEntry, facts: KeyFacts | None, used: Collection[str], drilled: Collection[str]) -> KeyHealth:
    ref = str(entry.ref)
    holds = {
        Weakness.WEAK: facts is not None and weak(facts.algorithm),
        Weakness.EXPORTABLE: facts is not None and bool(facts.extractable),
        Weakness.OWNERLESS: not entry.owner,
        Weakness.UNUSED: ref not in used,
        Weakness.NEVER_DRILLED: ref not in drilled,
        Weakness.QUANTUM_VULNERABLE: facts is not None and quantum_vulnerable(facts.algorithm),
        Weakness.NOT_READ: facts is None,
    }
    return KeyHealth(
        ref=ref,
        owner=entry.owner,
        purpose=entry.purpose,
        algorithm=facts.algorithm if facts else "",
        weaknesses=tuple(each for each in Weakness if holds[each]),
    )


def _used(estate: Estate) -> frozenset[str]:
    """Keys on which something hangs."""
    refs = {str(each.key) for each in estate.datasets} | {str(each.key) for each in estate.certificates}
    refs |= {str(key) for each in estate.credentials for key in each.may_use}
    refs |= {str(key) for each in estate.consumers for key in each.uses}
    refs |= {str(each.wrapped_by) for each in estate.keys if each.wrapped_by is not None}
    return frozenset(refs)
