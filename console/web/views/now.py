"""The first page: what is burning, what is proven, who must act."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from console.web.site import Section, Site

SECTION = Section("/", "Now", "What is burning, and who must act?")


def router(site: Site) -> APIRouter:
    """``GET /``."""
    routes = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @routes.get("/")
    async def now(request: Request) -> HTMLResponse:
        site.visitors.of(request)
        cases = await site.people.run(site.overview.open)
        return site.show(request, "now.html", section=SECTION, cases=cases)

    return routes
