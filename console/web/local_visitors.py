"""Visitors where no roster says who is who: whoever reaches the page from this host, with every role."""

from __future__ import annotations

from starlette.requests import Request

from console.web.visitors import SignInNeededError, Visitor
from playbooks.roster import Role

_LOCAL = frozenset({"127.0.0.1", "::1", "testclient"})


class LocalVisitors:
    """Implements ``Visitors`` for a trial and the labs of drills."""

    def of(self, request: Request) -> Visitor:
        """Somebody at this host; raises SignInNeededError for anybody else."""
        peer = request.client.host if request.client else ""
        if peer not in _LOCAL or "x-forwarded-for" in request.headers:
            raise SignInNeededError
        return Visitor("you, at this host", frozenset(Role), "local")

    def writer(self, request: Request) -> Visitor:
        """The same."""
        return self.of(request)
