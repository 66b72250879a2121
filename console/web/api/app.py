"""``/api/v1``: what the pages show, as JSON, for reading alone; described at ``/api/v1/openapi.json``."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Query, Request, Security
from fastapi.openapi.utils import get_openapi
from fastapi.security import APIKeyCookie, HTTPBearer

from console.web.api.answers import (
    DecisionAnswer,
    EventAnswer,
    EventsAnswer,
    IncidentAnswer,
    KeyAnswer,
    Listing,
    MeasureAnswer,
    PlanAnswer,
    listing,
    page_of,
)
from console.web.api.problems import answer_problems, documented
from console.web.bearer import bears_token
from console.web.sign_in import cookie_name
from console.web.site import Site
from flows.decisions import all_decisions
from flows.key_health import key_health
from playbooks.key_health import Weakness
from playbooks.metrics.measure import MeasureName
from playbooks.metrics.measuring import measures_of
from playbooks.summary import Summary

MOST = 500
"""Things in one answer, at most."""

Limit = Annotated[int, Query(ge=1, le=MOST, description="How many, at most.")]
Offset = Annotated[int, Query(ge=0, le=10**9, description="How many to leave out, from the first.")]
After = Annotated[int, Query(ge=-1, le=10**9, description="Number of the last event that is known already.")]
Exercise = Annotated[bool | None, Query(description="Exercises alone, or real cases alone; default: both.")]
Id = Annotated[str, Path(description="Id of the incident.", max_length=200)]


def create_api(site: Site) -> FastAPI:
    """The API as an app of its own, to be mounted at ``/api/v1``."""
    api = FastAPI(
        title="keyquell",
        version="1",
        summary="Incidents, plans, measures, key health and decisions, for reading alone.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    answer_problems(api)
    api.include_router(_incidents(site), dependencies=_admitted(site))
    api.include_router(_figures(site), dependencies=_admitted(site))
    api.openapi = _described(api)  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
    return api


def _admitted(site: Site) -> list[Any]:
    """A program with the token of ``web.api_token``, or whoever may read the pages."""
    bearer = HTTPBearer(auto_error=False, description="The token of `web.api_token`.")
    cookie = APIKeyCookie(name=cookie_name(site.wiring), auto_error=False, description="The session of a visitor.")

    async def admit(request: Request) -> None:
        header = request.headers.get("authorization", "")
        if not await site.people.run(bears_token, site.wiring.settings.web.api_token, header):
            await site.people.run(site.visitors.of, request)

    return [Depends(admit), Security(bearer), Security(cookie)]


def _described(api: FastAPI) -> Callable[[], dict[str, Any]]:
    def openapi() -> dict[str, Any]:
        if not api.openapi_schema:
            made = get_openapi(title=api.title, version=api.version, summary=api.summary, routes=api.routes)
            api.openapi_schema = {**documented(made), "servers": [{"url": "/api/v1"}]}
        return api.openapi_schema

    return openapi


def _incidents(site: Site) -> APIRouter:
    routes = APIRouter(prefix="/incidents", tags=["incidents"])
    run = site.people.run

    @routes.get("", summary="Every incident, the latest first")
    async def incidents(
        exercise: Exercise = None,
        still_open: Annotated[bool | None, Query(alias="open", description="Open or closed ones alone.")] = None,
        offset: Offset = 0,
        limit: Limit = 100,
    ) -> Listing[IncidentAnswer]:
        found = [each for each in await run(_cases, site, exercise) if still_open is None or each.open is still_open]
        return listing(found, offset, limit, IncidentAnswer.of)

    @routes.get("/{incident}", summary="One incident")
    async def incident(incident: Id) -> IncidentAnswer:
        return IncidentAnswer.of(await run(_case, site, incident))

    @routes.get("/{incident}/events", summary="The recorded events of one incident, in order")
    async def events(incident: Id, after: After = -1, limit: Limit = 100) -> EventsAnswer:
        return await run(_events, site, incident, after, limit)

    @routes.get("/{incident}/plan", summary="The current plan of one incident and where its steps stand")
    async def plan(incident: Id) -> PlanAnswer:
        return await run(_plan, site, incident)

    return routes


def _figures(site: Site) -> APIRouter:
    routes = APIRouter()
    run = site.people.run

    @routes.get("/measures", tags=["measures"], summary="Every measured span of every incident, with bounds")
    async def measures(
        exercise: Exercise = None,
        name: Annotated[MeasureName | None, Query(description="One span alone.")] = None,
        offset: Offset = 0,
        limit: Limit = 100,
    ) -> Listing[MeasureAnswer]:
        return await run(_measures, site, exercise, name, offset, limit)

    @routes.get("/keys", tags=["keys"], summary="Every key of the inventory, the most urgent first")
    async def keys(
        weakness: Annotated[Weakness | None, Query(description="Keys with this weakness alone.")] = None,
        offset: Offset = 0,
        limit: Limit = 100,
    ) -> Listing[KeyAnswer]:
        found = await run(lambda: key_health(site.wiring, site.overview.all()))
        total = len(found) if weakness is None else found.count(weakness)
        return page_of(islice(found.having(weakness), offset, offset + limit), total, offset, limit, KeyAnswer.of)

    @routes.get("/decisions", tags=["decisions"], summary="Who decided what, the latest first")
    async def decided(
        loud: Annotated[bool | None, Query(description="Refused attempts and broken glass alone.")] = None,
        offset: Offset = 0,
        limit: Limit = 100,
    ) -> Listing[DecisionAnswer]:
        found = await run(all_decisions, site.wiring)
        return listing([each for each in found if loud in (None, each.loud)], offset, limit, DecisionAnswer.of)

    return routes


def _cases(site: Site, exercise: bool | None) -> list[Summary]:
    return [each for each in site.overview.all() if exercise in (None, each.exercise)]


def _case(site: Site, incident: str) -> Summary:
    for each in site.overview.all():
        if each.id == incident:
            return each
    raise HTTPException(404, "There is no such incident.")


def _measures(
    site: Site, exercise: bool | None, name: MeasureName | None, offset: int, limit: int
) -> Listing[MeasureAnswer]:
    """Every incident has each span once, so that only those incidents are read that are shown."""
    names = [each for each in MeasureName if name in (None, each)]
    found = [(case, each) for case in _cases(site, exercise) for each in names]
    shown = {case.id: case for case, _ in found[offset : offset + limit]}
    now, records = site.wiring.clock(), site.wiring.records
    measured = {(each, span.name): span for each in shown for span in measures_of(records.events(each), now=now)}
    return listing(found, offset, limit, lambda pair: MeasureAnswer.of(pair[0], measured[pair[0].id, pair[1]]))


def _events(site: Site, incident: str, after: int, limit: int) -> EventsAnswer:
    _case(site, incident)
    found = site.wiring.records.events_after(incident, after)
    shown = found[:limit]
    items = tuple(EventAnswer(**each.model_dump(exclude={"incident"})) for each in shown)
    return EventsAnswer(incident=incident, items=items, next=shown[-1].seq if len(found) > limit else None)


def _plan(site: Site, incident: str) -> PlanAnswer:
    _case(site, incident)
    found = site.wiring.incident(incident)
    if found.plan is None:
        raise HTTPException(404, "The incident has no plan yet.")
    return PlanAnswer.of(found, found.plan)
