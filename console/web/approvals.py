"""The page behind an approval's link: the plan as the server has it, a passkey's yes, or a no.

Reading the page uses nothing up, because chats open links to preview them; only the assertion redeems the link.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import HTMLResponse

from console.web.addresses import client_address
from console.web.consequences import (
    beyond_undo,
    final_steps,
    kept,
    left_open,
    opened_again,
    reversible_steps,
    still_missing,
)
from console.web.json_body import json_object
from console.web.pages import page, told
from console.web.plan_lines import legend, plan_lines
from console.web.refusals import GONE, gone, refused
from console.web.threads import Threads
from flows import step_up
from flows.background import Background
from flows.confirmations import carry_out
from flows.wiring import Wiring
from playbooks.deeds import APPROVE, UNDO, outcome_of
from playbooks.desk import Actor, Desk
from playbooks.errors import InvalidInput, KeyquellError, NotApproved

_NO_LINK = "It does not lead to a plan any more. What was approved with it stays approved."
_NOTHING = {APPROVE: "Nothing was approved", UNDO: "Nothing was taken back"}
_MOST_REASON = 1000

Token = Annotated[str, Path(max_length=128)]


def router(wiring: Wiring, desk: Desk, background: Background, threads: Threads) -> APIRouter:
    """The routes of one approval."""
    pages = _Approvals(wiring, desk, background, threads)
    routes = APIRouter(prefix="/approve/{token}", default_response_class=HTMLResponse, include_in_schema=False)
    routes.add_api_route("", pages.show, methods=["GET"])
    routes.add_api_route("/assertion", pages.redeem, methods=["POST"])
    routes.add_api_route("/denial", pages.deny, methods=["POST"])
    return routes


class _Approvals:
    def __init__(self, wiring: Wiring, desk: Desk, background: Background, threads: Threads) -> None:
        self._wiring = wiring
        self._desk = desk
        self._background = background
        self._threads = threads

    async def show(self, token: Token) -> HTMLResponse:
        """The plan that this link asks its person to agree to."""
        return await self._threads.run(self._show, token)

    async def redeem(self, token: Token, request: Request) -> HTMLResponse:
        """Take the passkey's assertion (the JSON of a PublicKeyCredential)."""
        assertion = await json_object(request)
        return await self._threads.run(self._redeem, token, assertion, self._address(request))

    async def deny(self, token: Token, request: Request) -> HTMLResponse:
        """Take a no, which needs the link but no passkey: it only ever stops things."""
        try:
            fields = parse_qs((await request.body()).decode(), max_num_fields=10)
        except ValueError as error:
            raise HTTPException(400, "The form cannot be read.") from error
        reason = " ".join(fields.get("reason", [""])[0].split())[:_MOST_REASON]
        return await self._threads.run(self._deny, token, reason, self._address(request))

    def _show(self, token: str) -> HTMLResponse:
        try:
            asked = step_up.look(self._wiring, token)
        except KeyquellError as error:
            return gone(error, _NO_LINK)
        if asked.plan is None or asked.deed != APPROVE:
            return self._confirming(asked, token)
        incident, lines = asked.incident, plan_lines(asked.plan_text)
        return page(
            "approve.html",
            asked=asked,
            incident=incident,
            person=self._called(asked.approver),
            requested_by=self._called(incident.requested_by),
            agreed=[(self._called(each.approver), each) for each in incident.approvals],
            denied=[(self._called(each.approver), each) for each in incident.denials],
            final=final_steps(incident),
            reversible=reversible_steps(incident),
            lines=lines,
            legend=legend(lines),
            canonical=asked.canonical.decode(),
            token=token,
        )

    def _confirming(self, asked: step_up.Asked, token: str) -> HTMLResponse:
        incident, undoing = asked.incident, asked.deed == UNDO
        return page(
            "confirm.html",
            asked=asked,
            incident=incident,
            person=self._called(asked.approver),
            undoing=undoing,
            outcome=_ending(asked),
            effects=opened_again(incident) if undoing else left_open(incident),
            stays=beyond_undo(incident) if undoing else kept(incident),
            token=token,
        )

    def _redeem(self, token: str, assertion: dict[str, object], address: str) -> HTMLResponse:
        title = "Nothing was approved"
        try:
            asked = step_up.look(self._wiring, token)
            title = _NOTHING.get(asked.deed, "The case was not closed")
            incident_id = step_up.redeem(self._wiring, token, assertion, address=address)
            if asked.deed != APPROVE:
                return self._carried_out(asked)
        except KeyquellError as error:
            return refused(error, title=title, status=self._status(token))
        self._background.contain(incident_id)
        incident = self._wiring.incident(incident_id)
        exercise = " (an exercise)" if incident.exercise else ""
        missing = still_missing(incident, self._wiring.authority())
        return told(
            "Your approval is recorded",
            f"You agreed to the plan of {incident.codename}{exercise}, with your passkey.",
            f"The plan is not free yet: {missing}." if missing else "Every step of this plan may run now.",
            next_step="You can close this page.",
            tone="good",
        )

    def _carried_out(self, asked: step_up.Asked) -> HTMLResponse:
        incident = asked.incident
        carry_out(self._wiring, self._background, incident.id, by=asked.approver, deed=asked.deed)
        if asked.deed == UNDO:
            said = f"What can be undone of {incident.codename} is being taken back now, the last step first."
            return told("You confirmed the undo", said, next_step="The card says what was taken back, and what not.")
        said = f"{incident.codename} is closed as {_ending(asked)}."
        return told("You ended the case", said, next_step="Declare it anew if it burns again.")

    def _deny(self, token: str, reason: str, address: str) -> HTMLResponse:
        title = "Nothing was denied"
        if not reason:
            reasonless = InvalidInput("a no needs a reason.", hint="Go back and say in a few words why.")
            return refused(reasonless, title=title)
        try:
            asked = step_up.look(self._wiring, token)
        except KeyquellError as error:
            return gone(error, _NO_LINK)
        if asked.plan is None or asked.deed != APPROVE:
            nothing = InvalidInput("there is no plan to say no to here.", hint="Close the page: nothing happens then.")
            return refused(nothing, title=title)
        actor = Actor(account=asked.approver, via="web", address=address)
        try:
            self._desk.deny(actor, asked.incident.id, digest=asked.plan.digest, reason=reason)
        except KeyquellError as error:
            return refused(error, title=title)
        return told(
            "You said no to this plan",
            f"Every step of {asked.incident.codename} that needs people is stopped until there is another plan. "
            "Containment that was approved beforehand goes on.",
            next_step="Tell the others why, in the incident's channel. You can close this page.",
        )

    def _status(self, token: str) -> int:
        """403 while the link is still good for another try, 410 when it is not."""
        try:
            step_up.look(self._wiring, token)
        except NotApproved:
            return GONE
        except KeyquellError:
            pass
        return 403

    def _called(self, name: str) -> str:
        """``Bob Meyer (bob)``, or the plain name of whoever is not in the roster."""
        roster = self._wiring.roster
        person = roster.person(name) if roster is not None else None
        return f"{person.display} ({person.name})" if person is not None and person.display else name

    def _address(self, request: Request) -> str:
        return client_address(request, self._wiring.settings.web.trusted_proxies)


def _ending(asked: step_up.Asked) -> str:
    return (outcome_of(asked.deed) or "").replace("-", " ")
