"""One case: when what was reached, the plan's steps, proofs, census, messages, evidence, decisions and the record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from console.report import sections
from console.web.case_picture import NARROW, WIDE, draw_case
from console.web.census_bar import census_bar
from console.web.deadline_rows import CaseRows, case_rows, forms
from console.web.site import Site
from console.web.views.cases import SECTION
from console.web.views.now import card
from console.web.visitors import Visitor
from flows.comparisons import comparison
from flows.lookup import named
from playbooks.errors import InvalidInput
from playbooks.incident import Incident
from playbooks.outgoing import OutboxMessage
from playbooks.record import Event
from playbooks.roster import Role
from playbooks.timings import Timings

EVENTS_PER_PAGE = 200


def router(site: Site) -> APIRouter:
    """``GET /incidents/{id}``, and ``…/record`` with ``?at=`` the number of an event to be on the page."""
    routes = APIRouter(default_response_class=HTMLResponse, include_in_schema=False, prefix="/incidents")

    @routes.get("/{incident}")
    async def one(request: Request, incident: str) -> HTMLResponse:
        visitor = site.visitors.of(request)
        content = await site.people.run(_one, site, visitor, found(site, incident))
        return site.show(request, "case.html", section=SECTION, **content)

    @routes.get("/{incident}/record")
    async def record(request: Request, incident: str, at: int = 0) -> HTMLResponse:
        site.visitors.of(request)
        content = await site.people.run(_record, site, found(site, incident), at)
        return site.show(request, "record.html", section=SECTION, **content)

    return routes


def found(site: Site, word: str) -> str:
    """The id of a case by id or code name; a 404 in words when there is none."""
    try:
        return named(site.wiring, word)
    except InvalidInput as error:
        raise HTTPException(404, error.message) from error


def _one(site: Site, visitor: Visitor, incident_id: str) -> dict[str, Any]:
    incident, events = site.wiring.incident(incident_id), site.wiring.records.events(incident_id)
    timings = Timings.of(events)
    cases = site.overview.all() if incident.exercise and incident.closed is None else []
    zero, now = timings.detected_at or incident.opened_at, site.wiring.clock()
    verified, head = sections.chain(events)
    return {
        "card": card(site, incident_id),
        "incident": incident,
        "pictures": [draw_case(incident, events, zero=zero, now=now, layout=each) for each in (WIDE, NARROW)],
        "detected": timings.detected_at,
        "zero": zero,
        "censuses": [census_bar(each) for each in incident.censuses.values()],
        "phases": [(name, rows, _states(rows)) for name, rows in sections.step_rows(incident, zero)],
        "decisions": list(sections.decisions(events, zero)),
        "open_points": [each for each in sections.not_shown(incident, None) if each[1] != sections.UNFINISHED],
        "messages": _messages(incident),
        "deadlines": _deadlines(site, incident_id),
        "forms": forms(site, visitor, here=f"/incidents/{incident_id}", exercise=incident.exercise),
        "audits": visitor.may(Role.AUDIT),
        "unsigned": _unsigned(incident),
        "returned": [each for each in comparison(site.wiring, incident_id, cases).returned if not each.action.outcome],
        "verified": verified,
        "head": head,
        "count": len(events),
    }


def _deadlines(site: Site, incident_id: str) -> CaseRows | str:
    """Those of the case, or why its rules cannot be read."""
    try:
        return case_rows(site, incident_id)
    except InvalidInput as error:
        return str(error)


def _record(site: Site, incident_id: str, at: int) -> dict[str, Any]:
    incident, events = site.wiring.incident(incident_id), site.wiring.records.events(incident_id)
    verified, head = sections.chain(events)
    start = min(max(at, 0), len(events) - 1) // EVENTS_PER_PAGE * EVENTS_PER_PAGE
    shown = events[start : start + EVENTS_PER_PAGE]
    return {
        "incident": incident,
        "events": [(each, each.kind.value.replace("-", " "), _pretty(each)) for each in shown],
        "count": len(events),
        "before": start - EVENTS_PER_PAGE if start else None,
        "after": start + EVENTS_PER_PAGE if start + EVENTS_PER_PAGE < len(events) else None,
        "verified": verified,
        "head": head,
    }


def _pretty(event: Event) -> str:
    return orjson.dumps(event.body, option=orjson.OPT_INDENT_2).decode()


def _states(rows: Sequence[sections.StepRow]) -> list[tuple[str, int, str]]:
    """(state, how many steps, tone) of a phase, the worst first."""
    tally = Counter((row.status.state, row.tone) for row in rows)
    order = ("bad", "idle", "plain", "good")
    return sorted(
        ((state.replace("-", " "), count, tone) for (state, tone), count in tally.items()),
        key=lambda each: order.index(each[2]),
    )


def _messages(incident: Incident) -> list[tuple[str, str, str, str]]:
    """(state, tone, to whom, subject) of each message: what failed first, then what waits, then what was sent."""
    found = [
        ("waits for a person to read it", "warn", each.audience, each.subject)
        for each in incident.people.drafts.values()
    ]
    found += [(*_state(each), each.audience, each.subject) for each in incident.messages.values()]
    return sorted(found, key=lambda each: ("bad", "warn", "good").index(each[1]))


def _state(message: OutboxMessage) -> tuple[str, str]:
    refused = {channel: times for channel, times in message.failures.items() if channel not in message.delivered}
    if refused:
        tries = ", ".join(f"{channel} ({times} times)" if times > 1 else channel for channel, times in refused.items())
        also = f"; taken by {', '.join(message.delivered)}" if message.delivered else ""
        return f"failed at {tries}, and is tried again{also}", "bad"
    if message.delivered:
        return f"sent by {', '.join(message.delivered)}", "good"
    return "waits to be sent", "warn"


def _unsigned(incident: Incident) -> int:
    """How many events stand after the last signed checkpoint."""
    signed = max((each.seq for each in incident.oversight.checkpoints), default=-1)
    return incident.events - 1 - signed
