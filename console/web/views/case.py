"""One case: its timeline, plan, proofs, census, decisions and record."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from console.report import sections
from console.report.timeline import draw, exactly
from console.web.site import Site
from console.web.views.cases import SECTION
from console.web.views.now import card
from flows.lookup import named
from playbooks.errors import InvalidInput
from playbooks.timings import Timings


def router(site: Site) -> APIRouter:
    """``GET /incidents/{id}``."""
    routes = APIRouter(default_response_class=HTMLResponse, include_in_schema=False, prefix="/incidents")

    @routes.get("/{incident}")
    async def one(request: Request, incident: str) -> HTMLResponse:
        site.visitors.of(request)
        try:
            content = await site.people.run(_one, site, incident)
        except InvalidInput as error:
            raise HTTPException(404, f"{error.message}") from error
        return site.show(request, "case.html", section=SECTION, **content)

    return routes


def _one(site: Site, word: str) -> dict[str, Any]:
    incident_id = named(site.wiring, word)
    incident, events = site.wiring.incident(incident_id), site.wiring.records.events(incident_id)
    timings = Timings.of(events)
    zero = timings.detected_at or incident.opened_at
    moments = sections.moments(None, timings)
    verified, head = sections.chain(events)
    open_points = [each for each in sections.not_shown(incident, None) if each[1] != sections.UNFINISHED]
    return {
        "card": card(site, incident_id),
        "incident": incident,
        "picture": draw(moments, events, (), (), plan=incident.plan, zero=zero),
        "moments": [(exactly((each.at - zero).total_seconds()), each) for each in sorted(moments, key=lambda m: m.at)],
        "zero": zero,
        "figures": sections.incident_figures(timings),
        "phases": sections.step_rows(incident, zero),
        "decisions": list(sections.decisions(events, zero)),
        "open_points": open_points,
        "verified": verified,
        "head": head,
        "count": len(events),
    }
