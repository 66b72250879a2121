"""Audit: who decided what, what was refused, and whether the chains verify."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from console.web.site import Section, Site
from flows.code_names import code_names
from flows.decisions import all_decisions
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
    found = all_decisions(site.wiring)
    listed = [each for each in found if each.loud] if loud else found
    pages = max(1, -(-len(listed) // _PER_PAGE))
    page = min(page, pages)
    shown = listed[(page - 1) * _PER_PAGE : page * _PER_PAGE]
    return {
        "decisions": shown,
        "names": code_names(site.wiring),
        "count": len(found),
        "refused": sum(each.loud for each in found),
        "loud": loud,
        "installation": _installation(site),
        "page": page,
        "pages": pages,
    }


def _installation(site: Site) -> tuple[str, str]:
    """How the installation's own chain stands: ``empty``, ``sound`` or ``broken``, and why it is broken."""
    try:
        events = site.wiring.records.events(INSTALLATION)
        if not events:
            return "empty", ""
        verify_chain(events)
    except RecordError as error:
        return "broken", str(error)
    return "sound", ""
