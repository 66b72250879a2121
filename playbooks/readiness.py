"""Are we ready: which ways of losing a key were drilled, when, and how it ended.

A class of keys is a backend and a purpose (``aws-kms``, encrypting).  What a drill shows it shows of a class: the keys
of a drill are a lab's.  Nothing is a percentage; every count stands beside the number that it is out of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from playbooks.errors import InvalidInput
from playbooks.estate import Estate
from playbooks.exposures import Exposure, ExposureKind
from playbooks.latest import Latest
from playbooks.playbook import Playbook, choose
from playbooks.refs import KeyRef

STALE = timedelta(days=365)
"""After a year people and backends have changed, so that a drill counts as old."""
LISTED = 25
"""So many keys and so many datasets of a class are named; the rest is counted."""

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
    """So many keys of one backend and purpose, the data under them, and the ways in which they can be lost.

    ``listed`` are the first of its keys and of its datasets.
    """

    scheme: str
    purpose: str
    keys: int
    datasets: int
    listed: tuple[str, ...]
    ways: tuple[Way, ...]

    @property
    def covered(self) -> bool:
        """Was at least one of its ways drilled, and did that pass last?"""
        return any(each.proven for each in self.ways)


@dataclass(slots=True)
class _Stock:
    """What an inventory holds of one class; ``doors`` are credentials that may use its keys, one of each scheme."""

    keys: int = 0
    datasets: int = 0
    key: str = ""
    listed: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    doors: dict[str, str] = field(default_factory=dict)


_Class = tuple[str, str]


def key_classes(
    estate: Estate, catalog: Mapping[str, Playbook], drilled: Iterable[Drilled], offers: Sequence[Offer]
) -> list[KeyClass]:
    """The classes of an estate, those that no drill covers first and then the one with the most keys."""
    drills = sorted(drilled, key=lambda each: each.at, reverse=True)
    found = [
        KeyClass(
            scheme=scheme,
            purpose=purpose,
            keys=stock.keys,
            datasets=stock.datasets,
            listed=(*stock.listed, *stock.data),
            ways=tuple(
                _way(kind, target, scheme, catalog, drills, offers) for kind, target in _targets(purpose, stock)
            ),
        )
        for (scheme, purpose), stock in _LATEST.of(estate).items()
    ]
    return sorted(found, key=lambda each: (each.covered, -each.keys, each.scheme, each.purpose))


def prime(estate: Estate) -> None:
    """Class an inventory before somebody waits for it: with a million keys it takes seconds."""
    _LATEST.of(estate)


def _stocks(estate: Estate) -> dict[_Class, _Stock]:
    found: dict[_Class, _Stock] = {}
    of: dict[KeyRef, _Class] = {}
    for entry in estate.keys:
        name = of[entry.ref] = (entry.ref.scheme, entry.purpose)
        stock = found.setdefault(name, _Stock(key=str(entry.ref)))
        stock.keys += 1
        if stock.keys <= LISTED:
            stock.listed.append(str(entry.ref))
    for dataset in estate.datasets:
        stock = found[of[dataset.key]]
        stock.datasets += 1
        if stock.datasets <= LISTED:
            stock.data.append(str(dataset.ref))
    for credential in estate.credentials:
        for key in credential.may_use:
            if key in of:
                found[of[key]].doors.setdefault(credential.ref.scheme, str(credential.ref))
    return found


_LATEST = Latest(_stocks)


def _targets(purpose: str, stock: _Stock) -> list[tuple[ExposureKind, str]]:
    doors = [(ExposureKind.CREDENTIAL, target) for _, target in sorted(stock.doors.items())]
    data = [(ExposureKind.DATA_KEY, stock.key)] if stock.datasets else []
    return [*doors, *((kind, stock.key) for kind in _KINDS[purpose]), *data]


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
