"""Audit: who decided what, what was refused, and whether the chains verify."""

from __future__ import annotations

from itertools import chain
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from console.web.site import Section, Site
from playbooks.audit import DECISIONS, decisions
from playbooks.errors import RecordError
from playbooks.record import INSTALLATION, verify_chain

SECTION = Section("/audit", "Audit", "Who decided what, and was anybody refused?")
_PER_PAGE = 100


def router(site: Site) -> APIRouter:
    """``GET /audit`` with ``?loud=1`` for what wants a second look."""
    routes = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @routes.get("/audit")
    async def audit(request: Request, *, loud: bool = False, page: int = 1) -> HTMLResponse:
        site.visitors.of(request)
        content = await site.people.run(_content, site, loud, max(1, page))
        return site.show(request, "audit.html", section=SECTION, **content)

    return routes


def _content(site: Site, loud: bool, page: int) -> dict[str, Any]:
    records = site.wiring.records
    found = decisions(chain.from_iterable(records.of_kind(kind) for kind in DECISIONS))
    names = {each.id: each.codename for each in site.overview.all()}
    listed = [each for each in found if each.loud or not loud]
    pages = max(1, -(-len(listed) // _PER_PAGE))
    page = min(page, pages)
    try:
        verify_chain(records.events(INSTALLATION))
        broken = ""
    except RecordError as error:
        broken = str(error)
    return {
        "decisions": listed[(page - 1) * _PER_PAGE : page * _PER_PAGE],
        "names": names,
        "count": len(found),
        "refused": sum(each.loud for each in found),
        "loud": loud,
        "broken": broken,
        "page": page,
        "pages": pages,
    }
