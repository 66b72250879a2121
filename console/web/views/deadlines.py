"""Deadlines: who must be told until when, over all cases; and the forms that record clocks, filings and decisions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from console.web.acting import actor_of, said_in
from console.web.deadline_rows import CaseRows, Row, all_rows, by_urgency, forms
from console.web.pages import told
from console.web.refusals import refused
from console.web.sign_in import from_ours
from console.web.site import Section, Site
from flows.deadlines import Book, book, decide_not_due, file, moment_of, start_clock
from playbooks.deadlines.standing import State
from playbooks.deadlines.words import counted, length
from playbooks.desk import Actor
from playbooks.errors import InvalidInput, KeyquellError, NotApproved

SECTION = Section("/deadlines", "Deadlines", "Who must be told, and until when?")
_CASES = 20
"""Open cases whose clocks are offered here, the latest first; every case's own page has its own."""
_SETTLED = 50


def router(site: Site) -> APIRouter:
    """``GET /deadlines``, and ``POST /deadlines/{incident}/{what}``."""
    routes = APIRouter(default_response_class=HTMLResponse, include_in_schema=False, prefix="/deadlines")

    @routes.get("")
    async def deadlines(request: Request) -> HTMLResponse:
        return await _page(site, request)

    @routes.post("/{incident}/{what}")
    async def record(request: Request, incident: str, what: str) -> Response:
        said = await said_in(request)
        try:
            if not from_ours(request, site.wiring):
                raise NotApproved("This request did not come from a page of keyquell.", hint="Use the page's own form.")
            actor = actor_of(site.visitors.writer(request), said)
            await site.people.run(_record, site, actor, incident, what, said)
        except InvalidInput as error:
            return await _page(site, request, trouble=f"{error.message} {error.hint}".strip(), status=422)
        except NotApproved as error:
            return refused(error, title="Nothing was recorded")
        except KeyquellError as error:
            return told("Nothing was recorded", error.message, next_step=error.hint, tone="bad", status=503)
        there = said.get("here", "")
        return RedirectResponse(there if there == f"/incidents/{incident}" else "/deadlines", status_code=303)

    return routes


async def _page(site: Site, request: Request, *, trouble: str = "", status: int = 200) -> HTMLResponse:
    visitor = site.visitors.of(request)
    content = await site.people.run(_content, site)
    fill = [forms(site, visitor, here="/deadlines", exercise=each) for each in (False, True)]
    return site.show(request, "deadlines.html", section=SECTION, status=status, forms=fill, trouble=trouble, **content)


def _record(site: Site, actor: Actor, incident: str, what: str, said: dict[str, str]) -> None:
    wiring = site.wiring
    at = moment_of(said.get("at", ""), wiring.settings.deadlines.timezone)
    moves: dict[str, Callable[[], object]] = {
        "start": lambda: start_clock(
            wiring, actor, incident, said.get("trigger", ""), at=at, reason=said.get("reason", "")
        ),
        "file": lambda: file(wiring, actor, incident, said.get("rule", ""), at=at, reference=said.get("reference", "")),
        "not-due": lambda: decide_not_due(wiring, actor, incident, said.get("rule", ""), reason=said.get("reason", "")),
    }
    if what not in moves:
        raise InvalidInput(f"{what[:40]!r} is nothing that can be recorded here.", hint="Use the page's own form.")
    moves[what]()


def _content(site: Site) -> dict[str, Any]:
    """A file of rules that cannot be read is named; then nothing can be counted."""
    now = site.wiring.clock()
    try:
        rules, cases = book(site.wiring), all_rows(site)
    except InvalidInput as error:
        nothing: dict[str, Any] = {"real": None, "drills": None, "applies": True, "regimes": [], "off": []}
        return {"broken": error.message, "headline": "The rules of the deadlines cannot be read.", **nothing}
    real, drills = ([each for each in cases if each.exercise is kind] for kind in (False, True))
    return {
        "broken": "",
        "headline": _headline(rules, real, now),
        "real": _board("real", real),
        "drills": _board("drill", drills),
        "applies": bool(rules.applies),
        "regimes": _regimes(rules, now),
        "off": [words for name, words in rules.rules.regimes.items() if name not in rules.applies],
    }


def _board(mark: str, cases: list[CaseRows]) -> dict[str, Any]:
    """Running deadlines by urgency, cases with clocks to start, what was settled; ``mark`` is unique on the page."""
    waiting = [each for each in cases if each.open and (each.triggers or each.later)]
    settled = sorted((row for each in cases for row in each.settled), key=_settled_at, reverse=True)
    return {
        "mark": mark,
        "groups": by_urgency(cases),
        "waiting": waiting[:_CASES],
        "more": len(waiting[_CASES:]),
        "settled": settled[:_SETTLED],
    }


def _settled_at(row: Row) -> datetime:
    assert row.deadline.settled is not None  # noqa: S101 - it is among the settled ones
    return row.deadline.settled.at


def _regimes(rules: Book, now: datetime) -> list[tuple[str, list[dict[str, Any]]]]:
    """The rules that apply, by regime, with how they count and why one is off."""
    found = []
    for name in rules.applies:
        own = [each for each in rules.rules.rules if each.regime == name]
        listed = [{"rule": each, "counts": counted(each), "off": each.objection(now)} for each in own]
        found.append((rules.rules.regimes[name], listed))
    return found


def _headline(rules: Book, real: list[CaseRows], now: datetime) -> str:
    running = [row.deadline for case in real for row in case.running if row.deadline.due_at]
    late = sum(each.state is State.OVERDUE for each in running)
    ends = sorted(each.due_at for each in running if each.due_at and each.state is not State.OVERDUE)
    following = f"the next is due in {length(ends[0] - now)}" if ends else ""
    if late:
        told = f"{late} deadline{'s are' if late > 1 else ' is'} overdue"
        return f"{told}, and {following}." if following else f"{told}."
    if following:
        return f"Nothing is late; {following}."
    return "No clock is running." if rules.applies else "Nobody has said which regimes apply."
