"""The review of a case: read it, write its parts, agree on actions and settle them, take it as a document."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from console.report.review import FORMATS, figure, lasted, review_as, span
from console.web.acting import actor_of, said_in
from console.web.pages import told
from console.web.refusals import refused
from console.web.sign_in import from_ours
from console.web.site import Site
from console.web.views.case import found
from console.web.views.cases import SECTION
from flows.admission import Act
from flows.comparisons import comparison
from flows.reviews import add_action, settle_action, write_parts
from playbooks.desk import Actor
from playbooks.errors import InvalidInput, KeyquellError, NotApproved
from playbooks.metrics.measure import WORDS
from playbooks.review import PARTS, draft_review

_TYPES = {".md": "text/markdown; charset=utf-8", ".html": "text/html; charset=utf-8", ".pdf": "application/pdf"}


def router(site: Site) -> APIRouter:
    """``GET /incidents/{id}/review``, ``…/review.md``, ``.html``, ``.pdf``; ``POST …/review/{write,action,settle}``."""
    routes = APIRouter(default_response_class=HTMLResponse, include_in_schema=False, prefix="/incidents/{incident}")

    @routes.get("/review")
    async def review(request: Request, incident: str) -> HTMLResponse:
        return await _page(site, request, incident)

    @routes.get("/review.{ending}")
    async def document(request: Request, incident: str, ending: str) -> Response:
        site.visitors.of(request)
        if f".{ending}" not in FORMATS:
            raise HTTPException(404, f"A review is made as {', '.join(FORMATS)}, and as nothing else.")
        try:
            made, name = await site.people.run(_document, site, found(site, incident), f".{ending}")
        except InvalidInput as error:
            return told("There is no such document", error.message, next_step=error.hint, tone="bad", status=503)
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(made, media_type=_TYPES[f".{ending}"], headers=headers)

    @routes.post("/review/{what}")
    async def change(request: Request, incident: str, what: str) -> Response:
        said = await said_in(request)
        try:
            if not from_ours(request, site.wiring):
                raise NotApproved("This request did not come from a page of keyquell.", hint="Use the page's own form.")
            actor = actor_of(site.visitors.writer(request), said)
            incident_id = found(site, incident)
            await site.people.run(_change, site, actor, incident_id, what, said)
        except InvalidInput as error:
            return await _page(site, request, incident, trouble=f"{error.message} {error.hint}", said=said, status=422)
        except NotApproved as error:
            return refused(error, title="Nothing was written")
        except KeyquellError as error:
            return told("Nothing was written", error.message, next_step=error.hint, tone="bad", status=503)
        place = {"write": "written", "action": "actions", "settle": "actions"}.get(what, "main")
        return RedirectResponse(f"/incidents/{incident_id}/review#{place}", status_code=303)

    return routes


async def _page(
    site: Site,
    request: Request,
    incident: str,
    *,
    trouble: str = "",
    said: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    visitor = site.visitors.of(request)
    content = await site.people.run(_content, site, found(site, incident))
    writes = visitor.may(*Act.REVIEW.roles(exercise=content["incident"].exercise))
    return site.show(
        request,
        "review.html",
        section=SECTION,
        status=status,
        writes=writes,
        named=visitor.how == "local",
        trouble=trouble.strip(),
        said=said or {},
        **content,
    )


def _content(site: Site, incident_id: str) -> dict[str, Any]:
    now = site.wiring.clock()
    review = draft_review(site.wiring.records.events(incident_id), now=now)
    compared = comparison(site.wiring, incident_id, site.overview.all()) if review.incident.exercise else None
    return {
        "incident": review.incident,
        "review": review,
        "parts": PARTS,
        "unwritten": sum(not review.written[each] for each in PARTS),
        "open_actions": sum(not each.outcome for each in review.actions),
        "today": now.date(),
        "moments": [(span(each.after), each) for each in review.moments],
        "measures": [(WORDS[each.name], lasted(each), each) for each in review.measures],
        "compared": compared,
        "rows": [(WORDS[name], [figure(each, name) for each in compared.columns]) for name in compared.names]
        if compared
        else [],
        "formats": [each.removeprefix(".") for each in FORMATS],
    }


def _document(site: Site, incident_id: str, ending: str) -> tuple[bytes, str]:
    events, now = site.wiring.records.events(incident_id), site.wiring.clock()
    compared = comparison(site.wiring, incident_id, site.overview.all())
    return review_as(ending, events, now=now, compared=compared), f"review-{incident_id}{ending}"


def _change(site: Site, actor: Actor, incident: str, what: str, said: dict[str, str]) -> None:
    match what:
        case "write":
            _write(site, actor, incident, said)
        case "action":
            due = _day(said.get("due", ""))
            add_action(site.wiring, actor, incident, text=said.get("text", ""), owner=said.get("owner", ""), due=due)
        case "settle":
            outcome: Literal["done", "dropped"] = "dropped" if said.get("outcome") == "dropped" else "done"
            reason = said.get("reason", "").strip()
            settle_action(site.wiring, actor, incident, said.get("action", ""), outcome=outcome, reason=reason)
        case _:
            raise InvalidInput(f"a review knows no {what[:40]!r}.", hint="Use the page's own form.")


def _write(site: Site, actor: Actor, incident: str, said: dict[str, str]) -> None:
    """Only the parts that differ from what the writer saw, so that two people who write lose nothing of each other."""
    version = site.wiring.incident(incident).oversight.review
    present = version[1].parts if version else {}
    written = {name: said[name].strip() for name in PARTS if name in said}
    changed = {
        name: text
        for name, text in written.items()
        if text != said.get(f"was-{name}", "").strip() and text != present.get(name, "").strip()
    }
    if changed:
        write_parts(site.wiring, actor, incident, changed)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{text[:20]!r} is no day.", hint="Choose the day by which it is to be done.") from error
