"""The first page: what is burning, what is proven, who must act."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from console.web.site import Section, Site
from playbooks.card import Card
from playbooks.card_of import card_of
from playbooks.errors import InvalidInput, KeyquellError
from playbooks.estate import Estate

SECTION = Section("/", "Now", "What is burning, and who must act?")
_TONES = ("burning", "working", "safe", "over")
_CLOSED = 8


def router(site: Site) -> APIRouter:
    """``GET /``."""
    routes = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @routes.get("/")
    async def now(request: Request) -> HTMLResponse:
        site.visitors.of(request)
        return site.show(request, "now.html", section=SECTION, **await site.people.run(_content, site))

    return routes


def card(site: Site, incident_id: str) -> Card:
    """The case as chat and terminal show it, also while the estate cannot be read."""
    wiring = site.wiring
    try:
        estate: Estate | None = wiring.estate
    except InvalidInput:
        estate = None
    return card_of(wiring.incident(incident_id), estate=estate, authority=wiring.authority(), now=wiring.clock())


def _content(site: Site) -> dict[str, Any]:
    """A case whose record cannot be read is named, and hides no other."""
    cards, unread = [], []
    for each in site.overview.open():
        try:
            cards.append(card(site, each.id))
        except KeyquellError as error:
            unread.append(f"{each.codename}: {error}")
    cards.sort(key=lambda each: (each.exercise, _TONES.index(each.tone), each.opened_at))
    unread += site.overview.unread().values()
    closed = site.overview.lately_closed(_CLOSED)
    return {"cards": cards, "unread": unread, "closed": closed}
