"""What people did and were told in an incident, beside approving: acknowledged, paged, refused, shown, drafted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from playbooks.errors import RecordError
from playbooks.event_bodies import (
    Acknowledged,
    ApprovalAsked,
    AttemptRefused,
    Body,
    Escalated,
    GlassBroken,
    GlassReviewed,
    Linked,
    MessageDrafted,
    MessageQueued,
    MessageWithdrawn,
)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The first person who took the case."""

    by: str
    via: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Somebody was called; ``error`` is "" when the channel took it."""

    level: int
    person: str
    channel: str
    error: str
    at: datetime


@dataclass(slots=True)
class BrokenGlass:
    """An approval past the passkey, and what another person thought of it later."""

    by: str
    digest: str
    reason: str
    at: datetime
    reviewed_by: str = ""
    verdict: str = ""


@dataclass(slots=True)
class Dealings:
    """``asked`` is by request; ``links`` by surface; ``drafts`` are those neither released nor withdrawn, by id."""

    acknowledged: Acknowledgement | None = None
    pages: tuple[Page, ...] = ()
    asked: dict[str, ApprovalAsked] = field(default_factory=dict)
    glass: list[BrokenGlass] = field(default_factory=list)
    refused: tuple[AttemptRefused, ...] = ()
    links: dict[str, dict[str, str]] = field(default_factory=dict)
    drafts: dict[str, MessageDrafted] = field(default_factory=dict)

    def take(self, body: Body, at: datetime) -> None:
        """Take in one event; bodies of other kinds change nothing.  Raises RecordError on a contradiction."""
        match body:
            case Acknowledged():
                self.acknowledged = self.acknowledged or Acknowledgement(body.by, body.via, at)
            case Escalated():
                self.pages += (Page(body.level, body.person, body.channel, body.error, at),)
            case ApprovalAsked():
                self.asked[body.request] = body
            case GlassBroken():
                self.glass.append(BrokenGlass(body.by, body.digest, body.reason, at))
            case GlassReviewed():
                self._review(body)
            case AttemptRefused():
                self.refused += (body,)
            case Linked():
                self.links[body.surface] = self.links.get(body.surface, {}) | body.ids
            case MessageDrafted():
                self.drafts[body.id] = body
            case MessageWithdrawn() | MessageQueued():
                self.drafts.pop(body.id, None)

    def copied(self) -> Dealings:
        """The same, to be taken further on its own."""
        return replace(
            self,
            asked=dict(self.asked),
            glass=[replace(each) for each in self.glass],
            links=dict(self.links),
            drafts=dict(self.drafts),
        )

    def _review(self, body: GlassReviewed) -> None:
        waiting = [each for each in self.glass if not each.verdict]
        if not waiting:
            raise RecordError("a broken glass is reviewed that nobody broke.")
        for each in waiting:
            each.reviewed_by, each.verdict = body.by, body.verdict
