"""What people may ask of the response, whichever way they come: chat, web, pager or terminal.

Each interface speaks only to the Desk.  The Desk (``flows.desk``) finds the person in the roster, checks the role
afresh, records what it refuses, and never waits for a chat or a pager.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from playbooks.card import Card
from playbooks.exposures import Exposure
from playbooks.plans import Plan

Via = Literal["cli", "slack", "web", "pagerduty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asks: an account of an interface.  ``account`` is a Slack member id, a login, a PagerDuty user id, or a name.

    ``address`` is the network address the request came from, "" when there is none.
    """

    account: str
    via: Via
    address: str = ""


@dataclass(frozen=True, slots=True)
class StepUp:
    """The click was understood, and a passkey must follow: a single-use link for this person and this plan."""

    link: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """One key or credential that can be reported: its URI, and a name that people recognise in a search."""

    uri: str
    label: str
    kind: Literal["key", "credential", "dataset"]
    owner: str


@dataclass(frozen=True, slots=True)
class Report:
    """What text that holds a leaked secret says of the estate: exposures by fingerprint, and a sentence; no secret."""

    exposures: Sequence[Exposure]
    summary: str


class Desk(Protocol):
    """Every method raises NotApproved when the actor may not (the attempt is recorded), InvalidInput when the request
    makes no sense, and RecordError when the record cannot be written.  ``incident`` is an id or a codename."""

    def declare(
        self, actor: Actor, exposures: Sequence[Exposure], *, severity: str, note: str = "", origin: str = ""
    ) -> str:
        """Open an incident and start its pre-approved containment in the background; the id.

        The same ``origin`` (a form's id) a second time returns the incident that it opened.
        """

    def targets(self, actor: Actor, text: str, *, limit: int = 100) -> list[Target]:
        """Entries of the estate that match the words, best first."""

    def recognise(self, actor: Actor, text: str) -> Report:
        """Fingerprint whatever secrets a text holds; the text itself is not kept, logged or repeated."""

    def contain(self, actor: Actor, incident: str) -> None:
        """Start, in the background, every containing step whose gate is open."""

    def approve(self, actor: Actor, incident: str, *, digest: str, code: str = "") -> StepUp | None:
        """Approve, or return the link by which a passkey must do it.  ``code`` is a one-time code (terminal)."""

    def deny(self, actor: Actor, incident: str, *, digest: str, reason: str) -> None:
        """Say no to the plan."""

    def undo(self, actor: Actor, incident: str, *, code: str = "") -> StepUp | None:
        """Start, in the background, taking back the reversible steps; or return the link by which a passkey must
        confirm it: a stolen chat account takes nothing back.  ``code`` is a one-time code (terminal)."""

    def stand_down(self, actor: Actor, incident: str, *, outcome: str, code: str = "") -> StepUp | None:
        """End the case as false-alarm, not-contained or recovered; or return the link that confirms it, as ``undo``."""

    def acknowledge(self, actor: Actor, incident: str) -> None:
        """Take the case; the first one counts."""

    def incidents(self, actor: Actor) -> list[Card]:
        """The cards of all open incidents, oldest first."""

    def incident_of(self, actor: Actor, surface_id: str) -> str | None:
        """The id of the incident that a surface shows under this id (a channel's, say); None when there is none."""

    def card(self, actor: Actor, incident: str) -> Card:
        """The card of one incident."""

    def plan(self, actor: Actor, incident: str) -> Plan:
        """The current plan."""

    def who(self, actor: Actor, incident: str) -> Sequence[str]:
        """Sentences: who responds, who approved, who is missing, who is paged next."""

    def export(self, actor: Actor, incident: str) -> tuple[str, bytes]:
        """File name and content of the record's export (role audit)."""

    def review_message(
        self, actor: Actor, incident: str, message: str, *, release: bool, edited: Mapping[str, str] | None = None
    ) -> None:
        """Release a draft (with ``subject`` and ``body`` as edited) or withdraw it."""
