"""Are we ready: which ways of losing a key were drilled, when, and how it ended.

A class of keys is a backend and a purpose (``aws-kms``, encrypting).  What a drill shows it shows of a class: the keys
of a drill are a lab's.  Nothing is a percentage; every count stands beside the number that it is out of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from playbooks.errors import InvalidInput
from playbooks.estate import Estate
from playbooks.exposures import Exposure, ExposureKind
from playbooks.playbook import Playbook, choose

STALE = timedelta(days=365)
"""After a year people and backends have changed, so that a drill counts as old."""

_KINDS = {
    "encrypt": (ExposureKind.KEY_MATERIAL, ExposureKind.POLICY, ExposureKind.AVAILABILITY),
    "sign": (ExposureKind.SIGNING_KEY, ExposureKind.POLICY, ExposureKind.AVAILABILITY),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """An exercise that took place: ``schemes`` are those of what was exposed; ``passed`` None: it was not scored.

    ``by`` is who asked for the response; ``page`` says whether the case has a page here.
    """

    incident: str
    codename: str
    scenario: str
    playbook: str
    schemes: frozenset[str]
    at: datetime
    passed: bool | None
    by: str
    page: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """A scenario that can be run, the playbook it practises, and the backend that it does so on."""

    scenario: str
    title: str
    playbook: str
    scheme: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way in which a key of a class can be lost: the ``kind`` of exposure and the ``scheme`` of what gets out.

    ``playbook`` is "" where none covers it.  ``drills`` are the exercises of it, the latest first; ``offer`` a scenario
    that practises it, None when none does.
    """

    kind: ExposureKind
    scheme: str
    playbook: str
    title: str
    drills: tuple[Drilled, ...]
    offer: Offer | None

    @property
    def last(self) -> Drilled | None:
        """The latest exercise of it."""
        return self.drills[0] if self.drills else None

    @property
    def proven(self) -> bool:
        """Did the latest exercise that was scored pass?"""
        return next((each.passed for each in self.drills if each.passed is not None), False) is True


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyClass:
    """The keys of one backend and purpose, the data under them, and the ways in which they can be lost."""

    scheme: str
    purpose: str
    keys: tuple[str, ...]
    datasets: tuple[str, ...]
    ways: tuple[Way, ...]

    @property
    def covered(self) -> bool:
        """Was at least one of its ways drilled, and did that pass last?"""
        return any(each.proven for each in self.ways)


def key_classes(
    estate: Estate, catalog: Mapping[str, Playbook], drilled: Iterable[Drilled], offers: Sequence[Offer]
) -> list[KeyClass]:
    """The classes of an estate, those that no drill covers first and then the one with the most keys."""
    drills = sorted(drilled, key=lambda each: each.at, reverse=True)
    grouped: dict[tuple[str, str], list[str]] = {}
    for entry in estate.keys:
        grouped.setdefault((str(entry.ref).partition(":")[0], entry.purpose), []).append(str(entry.ref))
    found = [
        _class(scheme, purpose, tuple(keys), estate, catalog, drills, offers)
        for (scheme, purpose), keys in grouped.items()
    ]
    return sorted(found, key=lambda each: (each.covered, -len(each.keys), each.scheme, each.purpose))


def _class(
    scheme: str,
    purpose: str,
    keys: tuple[str, ...],
    estate: Estate,
    catalog: Mapping[str, Playbook],
    drills: Sequence[Drilled],
    offers: Sequence[Offer],
) -> KeyClass:
    mine = frozenset(keys)
    datasets = tuple(str(each.ref) for each in estate.datasets if str(each.key) in mine)
    targets = [(kind, keys[0]) for kind in _KINDS[purpose]]
    targets += [(ExposureKind.DATA_KEY, keys[0])] if datasets else []
    doors = {
        str(each.ref).partition(":")[0]: str(each.ref)
        for each in estate.credentials
        if any(str(key) in mine for key in each.may_use)
    }
    targets = [*((ExposureKind.CREDENTIAL, target) for _, target in sorted(doors.items())), *targets]
    ways = tuple(_way(kind, target, scheme, catalog, drills, offers) for kind, target in targets)
    return KeyClass(scheme=scheme, purpose=purpose, keys=keys, datasets=datasets, ways=ways)


def _way(
    kind: ExposureKind,
    target: str,
    of: str,
    catalog: Mapping[str, Playbook],
    drills: Sequence[Drilled],
    offers: Sequence[Offer],
) -> Way:
    try:
        playbook = choose(catalog, [Exposure(kind=kind, target=target, confidence=1.0)])
    except InvalidInput:
        return Way(kind=kind, scheme=target.partition(":")[0], playbook="", title="", drills=(), offer=None)
    scheme = target.partition(":")[0]
    return Way(
        kind=kind,
        scheme=scheme,
        playbook=playbook.name,
        title=playbook.title,
        drills=tuple(each for each in drills if each.playbook == playbook.name and scheme in each.schemes),
        offer=next((each for each in offers if each.playbook == playbook.name and each.scheme == of), None),
    )
