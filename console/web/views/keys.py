"""Key health: which keys are weak, exportable, overdue, ownerless, unused, never drilled."""

from __future__ import annotations

from itertools import islice
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from console.web.site import Section, Site
from flows.key_health import key_health
from playbooks.errors import InvalidInput
from playbooks.key_health import WORDS, Weakness

SECTION = Section("/keys", "Key health", "Which keys would hurt if they leaked now?")
_PER_PAGE = 100
_GRAVE = (Weakness.WEAK, Weakness.EXPORTABLE, Weakness.OVERDUE)


def router(site: Site) -> APIRouter:
    """``GET /keys``, with ``?only=`` a weakness and ``?page=``."""
    routes = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    @routes.get("/keys")
    async def keys(request: Request, only: str = "", page: int = 1) -> HTMLResponse:
        site.visitors.of(request)
        content = await site.people.run(_content, site, only, max(1, page))
        return site.show(request, "keys.html", section=SECTION, **content)

    return routes


def _content(site: Site, only: str, page: int) -> dict[str, Any]:
    try:
        found = key_health(site.wiring, site.overview.all())
    except InvalidInput as error:
        return {"broken": str(error), "keys": [], "tally": {}, "total": 0, "wanting": 0, "page": 1, "pages": 1}
    chosen = next((each for each in Weakness if each.value == only), None)
    pages = max(1, -(-(found.count(chosen) if chosen else len(found)) // _PER_PAGE))
    page = min(page, pages)
    return {
        "broken": "",
        "total": len(found),
        "wanting": found.wanting,
        "tally": found.counted(),
        "words": WORDS,
        "grave": _GRAVE,
        "chosen": chosen,
        "keys": list(islice(found.having(chosen), (page - 1) * _PER_PAGE, page * _PER_PAGE)),
        "page": page,
        "pages": pages,
    }
