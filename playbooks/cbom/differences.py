"""What an estate would bring to another one: new, different, missing; in linear time."""

from __future__ import annotations

from dataclasses import dataclass

from playbooks.cbom.properties import KINDS, Entry, identity
from playbooks.estate import Estate


@dataclass(frozen=True, slots=True)
class Different:
    """One entry that both have, and the fields that are not the same."""

    kind: str
    name: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Differences:
    """``new`` and ``missing`` are pairs of kind and URI (or name), seen from what stands."""

    new: tuple[tuple[str, str], ...]
    different: tuple[Different, ...]
    missing: tuple[tuple[str, str], ...]

    def __bool__(self) -> bool:
        return bool(self.new or self.different or self.missing)


def differences(standing: Estate, given: Estate) -> Differences:
    """Compare what is given with what stands, entry by entry; neither is changed."""
    new: list[tuple[str, str]] = []
    missing: list[tuple[str, str]] = []
    different: list[Different] = []
    for kind in KINDS:
        here, there = _by_name(standing, kind), _by_name(given, kind)
        new += [(kind, name) for name in there if name not in here]
        missing += [(kind, name) for name in here if name not in there]
        for name, entry in there.items():
            if name in here and here[name] != entry:
                different.append(Different(kind, name, _unlike(here[name], entry)))
    return Differences(tuple(new) + _contacts(given, standing), tuple(different) + _changed(standing, given),
                       tuple(missing) + _contacts(standing, given))  # fmt: skip


def _by_name(estate: Estate, kind: str) -> dict[str, Entry]:
    return {identity(entry): entry for entry in getattr(estate, f"{kind}s")}


def _unlike(one: Entry, other: Entry) -> tuple[str, ...]:
    return tuple(name for name in type(one).model_fields if getattr(one, name) != getattr(other, name))


def _contacts(one: Estate, other: Estate) -> tuple[tuple[str, str], ...]:
    return tuple(("contact", audience) for audience in one.contacts if audience not in other.contacts)


def _changed(standing: Estate, given: Estate) -> tuple[Different, ...]:
    both = standing.contacts.keys() & given.contacts.keys()
    changed = sorted(audience for audience in both if standing.contacts[audience] != given.contacts[audience])
    return tuple(Different("contact", audience, ("who",)) for audience in changed)
