"""Who looks at a page: a person of the roster who signed in, or whoever sits at this host where there is no roster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from starlette.requests import Request

from playbooks.roster import Role

How = Literal["passkey", "oidc", "local"]


@dataclass(frozen=True, slots=True)
class Visitor:
    """``roles`` are those that the roster gives at this moment; without a roster, all of them."""

    name: str
    roles: frozenset[Role]
    how: How

    def may(self, *roles: Role) -> bool:
        """Does the visitor hold one of these roles?"""
        return not self.roles.isdisjoint(roles)


class SignInNeededError(Exception):
    """Nobody is signed in; the page answers with the way to sign in, and a program with 401."""


class Visitors(Protocol):
    """Finds the visitor behind a request.  ``of`` raises SignInNeededError; ``writer`` is for requests that change
    something: it also raises NotApproved when the request does not come from a page of ours."""

    def of(self, request: Request) -> Visitor:
        """Who asks to read."""

    def writer(self, request: Request) -> Visitor:
        """Who asks to change something."""
