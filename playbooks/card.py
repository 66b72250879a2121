"""The live card of an incident: what is burning, what is proven, what is not, what to do next.

Chat, web page and terminal render the same card, so that nobody reads two truths.  It names no key: the channel is
wider than the record.  Only ``plan`` does, for those who may see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Button = Literal["contain", "approve", "deny", "undo", "stand-down", "acknowledge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """Something that is due; ``margin_seconds`` is negative when it is late."""

    what: str
    at: datetime
    margin_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One incident in the order in which a tired responder needs it.

    ``burning`` is one sentence.  ``proven`` and ``not_proven`` are sentences.  ``last_use`` says when the adversary was
    last seen, or that no use is known.  ``approvals`` says who agreed, who is missing and what does not count.
    ``census`` has a sentence for each dataset.  ``next_action`` is one sentence.  ``digest`` is the current plan's, ""
    without a plan; ``plan`` its diff.  ``buttons`` are the moves that make sense now, in order.
    """

    id: str
    codename: str
    exercise: bool
    severity: str
    phase: str
    tone: Literal["burning", "working", "safe", "over"]
    opened_at: datetime
    acknowledged_by: str
    burning: str
    blast_radius: str
    proven: tuple[str, ...]
    not_proven: tuple[str, ...]
    last_use: str
    deadlines: tuple[Deadline, ...]
    approvals: str
    census: tuple[str, ...]
    warnings: tuple[str, ...]
    next_action: str
    digest: str
    plan: str
    buttons: tuple[Button, ...]
