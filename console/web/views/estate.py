"""The inventory as a graph: what a leaked key would reach, and what nobody knows of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from console.web.neighbourhood import KINDS, MOST_IN_COLUMN, WORDS, around, leading_to, whole
from console.web.site import Section, Site
from flows.lookup import named
from playbooks.blast_radius import BlastRadius, Entry, Graph, blast_radius
from playbooks.errors import InvalidInput
from playbooks.estate import CredentialEntry, Estate, KeyEntry
from playbooks.estate_words import EstateWords
from playbooks.exposures import Exposure, ExposureKind

SECTION = Section("/estate", "Estate", "What would a leaked key reach?")
_FOUND = 20
_LISTED = 40


def router(site: Site) -> APIRouter:
    """``GET /estate``, with ``?exposed=`` a URI, ``?incident=`` a case, or ``?q=`` words to search."""
    routes = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @routes.get("/estate")
    async def estate(request: Request, exposed: str = "", incident: str = "", q: str = "") -> HTMLResponse:
        site.visitors.of(request)
        content = await site.people.run(_content, site, exposed.strip(), incident.strip(), q.strip())
        return site.show(request, "estate.html", section=SECTION, **content)

    return routes


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the visitor wants to see: exposures, and whence they come (the words of a case, "" for a question)."""

    exposures: tuple[Exposure, ...]
    case: str = ""
    case_id: str = ""

    @property
    def targets(self) -> list[str]:
        """What is exposed, each once."""
        return list(dict.fromkeys(each.target for each in self.exposures))


def _content(site: Site, uri: str, word: str, query: str) -> dict[str, Any]:
    try:
        estate = site.wiring.estate
    except InvalidInput as error:
        return {"broken": str(error), "asked": None}
    graph = Graph.of(estate)
    asked = _case(site, word) if word else _question(graph, uri) if uri else None
    found = list(islice(_search(estate, query), _FOUND + 1)) if query else []
    radius = blast_radius(graph, asked.exposures) if asked else BlastRadius()
    cases = [each for each in site.overview.open() if each.targets]
    return {
        "broken": "",
        "asked": asked,
        "missing": uri if uri and asked is None else "",
        "query": query,
        "found": found[:_FOUND],
        "more_found": len(found) > _FOUND,
        "totals": [(WORDS[kind], len(getattr(estate, kind))) for kind in KINDS],
        "reached": _groups(radius),
        "counts": {kind: len(getattr(radius, kind)) for kind in KINDS},
        "phrase": _phrase(radius, asked.targets if asked else []),
        "unknown": radius.unknown[:_LISTED],
        "unknown_more": max(0, len(radius.unknown) - _LISTED),
        "words": WORDS,
        "most": MOST_IN_COLUMN,
        "picture": around(graph, radius, asked.targets, leading_to(estate, asked.targets)) if asked else whole(estate),
        "cases": [(each.codename, each.id, each.exercise) for each in cases],
    }


def _case(site: Site, word: str) -> _Asked:
    try:
        incident = site.wiring.incident(named(site.wiring, word))
    except InvalidInput as error:
        raise HTTPException(404, error.message) from error
    return _Asked(incident.exposures, incident.codename, incident.id)


def _question(graph: Graph, uri: str) -> _Asked | None:
    """What if this leaked; None when the inventory does not list it, or nothing of the sort can leak."""
    try:
        index = graph.find(uri)
    except InvalidInput:
        index = None
    kind = _kind(graph.entry(index)) if index is not None else None
    return _Asked((Exposure(kind=kind, target=uri, confidence=1.0),)) if kind is not None else None


def _kind(entry: Entry) -> ExposureKind | None:
    match entry:
        case KeyEntry():
            return ExposureKind.SIGNING_KEY if entry.purpose == "sign" else ExposureKind.KEY_MATERIAL
        case CredentialEntry():
            return ExposureKind.CREDENTIAL
        case _:
            return None


def _search(estate: Estate, query: str) -> Iterator[tuple[str, str, str]]:
    """(name, kind, whose) of keys and credentials in which every word stands, in the order of the inventory."""
    for each in EstateWords.of(estate).holding(query.split()):
        match each:
            case KeyEntry():
                yield str(each.ref), "key", each.owner
            case CredentialEntry():
                yield str(each.ref), "credential", each.consumer


def _groups(radius: BlastRadius) -> list[tuple[str, list[Any], int]]:
    """(kind, the nearest things, how many more) of what is reached."""
    groups = []
    for kind in KINDS:
        reached = sorted(getattr(radius, kind), key=lambda each: (len(each.path), each.name))
        if reached:
            groups.append((kind, reached[:_LISTED], max(0, len(reached) - _LISTED)))
    return groups


def _phrase(radius: BlastRadius, exposed: list[str]) -> str:
    """``3 datasets, 1 certificate and 2 services``: what is reached beside what is exposed itself."""
    parts = []
    for kind in KINDS:
        count = sum(each.name not in exposed for each in getattr(radius, kind))
        if count:
            parts.append(f"{count:,} {WORDS[kind][count > 1]}")
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else "nothing else"
