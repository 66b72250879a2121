"""Usage anomalies: which keys are used in an unusual way, what could not be read, and what nobody looks at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from console.web.site import Section, Site
from console.web.usage_bars import usage_bars
from flows.key_use import LOOKED_BACK, key_uses
from playbooks.blast_radius import Graph
from playbooks.errors import InvalidInput
from playbooks.estate import KeyEntry

SECTION = Section("/usage", "Usage anomalies", "Is a key used in an unusual way?")
_MOST_ANOMALIES, _MOST_KEYS = 100, 50


def router(site: Site) -> APIRouter:
    """``GET /usage``."""
    routes = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @routes.get("/usage")
    async def usage(request: Request) -> HTMLResponse:
        site.visitors.of(request)
        return site.show(request, "usage.html", section=SECTION, **await site.people.run(_content, site))

    return routes


def _content(site: Site) -> dict[str, Any]:
    found = key_uses(site.wiring, site.overview.all())
    real = [each for each in found.anomalies if not each.exercise]
    drills = [each for each in found.anomalies if each.exercise]
    over = [each for each in found.keys if each.unusual]
    listed, unwatched = _listed(site, {each.key for each in found.keys})
    return {
        "detectors": found.detectors,
        "groups": [each for each in (("", real[:_MOST_ANOMALIES]), ("Exercises", drills[:_MOST_ANOMALIES])) if each[1]],
        "more": max(0, len(real) - _MOST_ANOMALIES) + max(0, len(drills) - _MOST_ANOMALIES),
        "late": sum(each.after_containment for each in real),
        "unusual": len(real),
        "over": len(over),
        "keys": [(each, usage_bars(each)) for each in found.keys[:_MOST_KEYS]],
        "more_keys": max(0, len(found.keys) - _MOST_KEYS),
        "watched": len(found.keys),
        "never": sum(each.read_at is None for each in found.keys),
        "unread": found.unread,
        "unwatched": unwatched,
        "listed": listed,
        "days": LOOKED_BACK.days,
    }


def _listed(site: Site, watched: Iterable[str]) -> tuple[int, int] | tuple[None, None]:
    """How many keys the inventory lists, and how many of them nobody watches; None while it cannot be read."""
    try:
        estate = site.wiring.estate
    except InvalidInput:
        return None, None
    graph = Graph.of(estate)
    return len(estate.keys), len(estate.keys) - sum(graph.listed(each) is KeyEntry for each in watched)
