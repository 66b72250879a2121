"""All cases."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from console.web.site import Section, Site

SECTION = Section("/incidents", "Cases", "What happened, and how did it end?")
_PER_PAGE = 50


def router(site: Site) -> APIRouter:
    """``GET /incidents``."""
    routes = APIRouter(default_response_class=HTMLResponse, include_in_schema=False, prefix="/incidents")

    @routes.get("")
    async def every(request: Request, page: int = 1) -> HTMLResponse:
        site.visitors.of(request)
        content = await site.people.run(_list, site, max(1, page))
        return site.show(request, "cases.html", section=SECTION, **content)

    return routes


def _list(site: Site, page: int) -> dict[str, Any]:
    found = site.overview.all()
    pages = max(1, -(-len(found) // _PER_PAGE))
    page = min(page, pages)
    shown = found[(page - 1) * _PER_PAGE : page * _PER_PAGE]
    return {"cases": shown, "count": len(found), "page": page, "pages": pages, "unread": site.overview.unread()}
