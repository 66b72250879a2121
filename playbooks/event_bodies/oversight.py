"""Bodies of what managers and auditors need: clocks that run, filings, reviews, actions, signed checkpoints."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import AwareDatetime, Field

from playbooks.event_bodies.body import Body


class ClockStarted(Body):
    """A person determined, once, when a trigger of deadlines happened: awareness, classification, determination …"""

    trigger: str = Field(min_length=1)
    at: AwareDatetime
    by: str = Field(min_length=1)
    reason: str = ""


class DeadlineSettled(Body):
    """A notice was filed at ``at``, or somebody decided that none is due; ``reference`` is the recipient's."""

    rule: str = Field(min_length=1)
    outcome: Literal["filed", "not-due"]
    at: AwareDatetime
    by: str = Field(min_length=1)
    reason: str = ""
    reference: str = ""


class DeadlineReminded(Body):
    """People were reminded that this share of the time (in percent) is gone."""

    rule: str = Field(min_length=1)
    percent: int = Field(gt=0)
    due_at: AwareDatetime


class ReviewWritten(Body):
    """A version of the review: its parts as Markdown, by name; ``head`` is that of the record it was drawn from."""

    by: str = Field(min_length=1)
    head: str = Field(pattern="^[0-9a-f]{64}$")
    parts: dict[str, str]


class ActionAdded(Body):
    """What is to be done after the review, who owns it, and by when."""

    action: str = Field(min_length=1)
    text: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    due: date
    by: str = Field(min_length=1)


class ActionSettled(Body):
    """An action was done, or dropped with a reason."""

    action: str = Field(min_length=1)
    outcome: Literal["done", "dropped"]
    by: str = Field(min_length=1)
    reason: str = ""


class CheckpointSigned(Body):
    """A signature over the record up to event ``seq``, whose hash is ``head``.

    ``statement`` are the bytes that were signed (canonical JSON, base64), ``public_key`` is the SubjectPublicKeyInfo
    (base64 DER) that verifies them, ``key`` names where the private half lives.
    """

    seq: int = Field(ge=0)
    head: str = Field(pattern="^[0-9a-f]{64}$")
    key: str
    algorithm: str
    public_key: str
    statement: str
    signature: str


class CheckpointAnchored(Body):
    """The head of event ``seq`` stands at a place off this host; ``reference`` finds it there, ``proof`` is its answer.

    ``proof`` is base64 (an RFC 3161 time-stamp token, say), "" when the place gives none.
    """

    seq: int = Field(ge=0)
    head: str = Field(pattern="^[0-9a-f]{64}$")
    place: str = Field(min_length=1)
    reference: str
    proof: str = ""
