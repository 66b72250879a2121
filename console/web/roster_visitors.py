"""Visitors by session and roster: a session says who, the roster says what, at every request anew."""

from __future__ import annotations

from starlette.requests import Request

from console.web.sign_in import cookie_name, from_ours
from console.web.visitors import SignInNeededError, Visitor
from flows.sign_in import SignIn
from flows.wiring import Wiring
from playbooks.errors import NotApproved


class RosterVisitors:
    """Implements ``Visitors`` where a roster is configured."""

    def __init__(self, wiring: Wiring, doors: SignIn) -> None:
        self._wiring = wiring
        self._doors = doors

    def of(self, request: Request) -> Visitor:
        """The person of the session, with the roles that the roster gives now; without any, nobody."""
        session = self._doors.session(request.cookies.get(cookie_name(self._wiring), ""))
        roles = self._doors.roles(session.person) if session is not None else frozenset()
        if session is None or not roles:
            raise SignInNeededError
        return Visitor(session.person, roles, session.how)

    def writer(self, request: Request) -> Visitor:
        """The same, for a request that a page of ours sent."""
        if not from_ours(request, self._wiring):
            raise NotApproved("This request did not come from a page of keyquell.", hint="Use the page's own button.")
        return self.of(request)
