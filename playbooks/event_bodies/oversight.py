"""Bodies of what managers and auditors add to a case: clocks, filings, reviews, actions, checkpoints."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import AwareDatetime, Field

from playbooks.event_bodies.body import Body


class ClockStarted(Body):
    """A person says when a clock began to run: ``trigger`` became true at ``at`` (aware), for ``reason``."""

    trigger: str
    at: AwareDatetime
    by: str
    reason: str = ""


class DeadlineSettled(Body):
    """A deadline's end: filed at ``at``, with the recipient's ``reference``, or decided not to be due."""

    rule: str
    outcome: Literal["filed", "not-due"]
    at: AwareDatetime
    by: str
    reason: str = ""
    reference: str = ""


class DeadlineReminded(Body):
    """``percent`` of a deadline's time was used up, and people were told; each percent once."""

    rule: str
    percent: Literal[50, 80, 100]
    due_at: AwareDatetime


class ReviewWritten(Body):
    """A version of the review: its written parts by name, over the record up to the hash ``head``."""

    by: str
    head: str
    parts: dict[str, str]


class ActionAdded(Body):
    """Something to be done after a review, by whom and until when."""

    action: str
    text: str = Field(min_length=1)
    owner: str
    due: date
    by: str


class ActionSettled(Body):
    """An action is done, or dropped for a reason."""

    action: str
    outcome: Literal["done", "dropped"]
    by: str
    reason: str = ""


class CheckpointSigned(Body):
    """The record up to event ``seq`` with the hash ``head`` was signed.

    ``statement`` is the signed text (UTF-8); ``signature`` is base64; ``public_key`` is SubjectPublicKeyInfo in PEM;
    ``key`` names the signing key (its URI, or that it is the installation's own).
    """

    seq: int = Field(ge=0)
    head: str
    key: str
    algorithm: str
    public_key: str
    statement: str
    signature: str


class CheckpointAnchored(Body):
    """The checkpoint over ``head`` was laid down off this host: ``reference`` says where, ``proof`` (base64) shows.

    ``place`` is the kind of place, ``anchor`` its name in the settings.
    """

    seq: int = Field(ge=0)
    head: str
    place: str
    reference: str
    proof: str = ""
    anchor: str = ""
