"""Metrics: how fast are we, and how sure?  Drills beside real cases, open cases right-censored, no trend."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from console.kept_drills import KeptDrills
from console.web.kept_answers import KeptAnswers
from console.web.measure_rows import PHASES, Choice, Row, classes, measure_rows
from console.web.site import Section, Site
from console.web.work_rows import MOST_CASES, MOST_FILINGS, margin_words, margins, moved, sized
from flows.filing_margins import filing_margins
from flows.prefect_server import default_home
from playbooks.errors import InvalidInput
from playbooks.metrics.measure import MeasureName
from playbooks.metrics.pooling import FEWEST, pooled, pooled_phase
from playbooks.metrics.reading import headline, lasted
from playbooks.metrics.worst import StepKind, failed_most, step_kinds
from playbooks.plans import Phase
from playbooks.summary import Summary

SECTION = Section("/measures", "Metrics", "How fast are we, and how sure?")

_MANY = 1000
"""Cases from which on the page is kept for a while, because making it takes seconds."""


def router(site: Site) -> APIRouter:
    """``GET /measures``, with ``?kind=`` of exposure, ``?class=`` of key or credential, and ``?phase=``."""
    routes = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
    drills = KeptDrills(default_home() / "drills")
    kept = KeptAnswers[Choice, dict[str, Any]](lambda choice: _content(site, drills, choice), slow=_slow)
    site.slow.append(lambda: kept(Choice()))

    @routes.get("/measures")
    async def measures(request: Request, kind: str = "", phase: str = "") -> HTMLResponse:
        site.visitors.of(request)
        chosen = next((each for each in Phase if each.value == phase), None)
        choice = Choice(kind, request.query_params.get("class", ""), chosen)
        content = await site.people.run(kept, choice)
        return site.show(request, "measures.html", section=SECTION, **content)

    return routes


def _slow(content: dict[str, Any]) -> bool:
    return bool(content["many"])


def _content(site: Site, drills: KeptDrills, asked: Choice) -> dict[str, Any]:
    recorded, now = site.overview.all(), site.wiring.clock()
    known = {each.id for each in recorded}
    every = [*recorded, *(each.summary for each in drills.all() if each.summary.id not in known)]
    kinds = Counter(kind for each in every for kind in each.exposures)
    schemes = Counter(scheme for each in every for scheme in classes(each))
    choice = Choice(
        asked.kind if asked.kind in kinds else "", asked.key_class if asked.key_class in schemes else "", asked.phase
    )
    chosen = choice.of(every)
    cases = [each for each in chosen if not each.virtual_time]
    rows, phases, empty = measure_rows(cases, choice, now=now)
    return {
        "as_of": now,
        "many": len(cases) > _MANY,
        "choice": choice,
        "kinds": sorted(kinds.items()),
        "schemes": sorted(schemes.items()),
        "all_phases": PHASES,
        "heading": _heading(cases, choice, now),
        "real": sum(not each.exercise for each in cases),
        "exercises": sum(each.exercise for each in cases),
        "virtual": len(chosen) - len(cases),
        "rows": rows,
        "phases": phases,
        "empty": empty,
        "thinned": any(_thinned(each) for each in (*rows, *phases)),
        "known": known,
        "fewest": FEWEST,
        "worst": [each for each in _worst(cases, choice.phase) if each[1]],
        "moved": [] if choice.phase else moved(cases),
        "most_cases": MOST_CASES,
        "most_filings": MOST_FILINGS,
        "sized": sized,
        "lasted": lasted,
        "margin_words": margin_words,
        **_margins(site, cases, choice),
    }


def _heading(cases: list[Summary], choice: Choice, now: datetime) -> str:
    """How fast real cases were contained, or were through the chosen phase; exercises only where there is no other."""
    if not cases:
        return "Nothing has been measured yet."
    exercise = all(each.exercise for each in cases)
    if choice.phase:
        return headline(pooled_phase(cases, choice.phase, exercise=exercise, now=now))
    return headline(pooled(cases, MeasureName.CONTAIN, exercise=exercise, now=now))


def _worst(cases: list[Summary], phase: Phase | None) -> list[tuple[str, list[StepKind], StepKind | None]]:
    found = []
    for title, exercise in (("Real cases", False), ("Exercises", True)):
        kinds = step_kinds(cases, exercise=exercise, phase=phase)
        found.append((title, kinds, failed_most(kinds)))
    return found


def _margins(site: Site, cases: list[Summary], choice: Choice) -> dict[str, Any]:
    if choice.phase:
        return {"margins": [], "rules_broken": ""}
    try:
        return {"margins": margins(filing_margins(site.wiring, cases)), "rules_broken": ""}
    except InvalidInput as error:
        return {"margins": [], "rules_broken": str(error)}


def _thinned(row: Row) -> bool:
    return any(each.plot and each.plot.left_out for each in row.cells)
