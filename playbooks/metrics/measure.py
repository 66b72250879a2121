"""One figure of one incident: its bounds, whether it is over, and the events that prove it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class MeasureName(StrEnum):
    """The spans that are measured; each runs from one recorded moment to another."""

    DWELL = "dwell"  # occurrence → detected
    DETECT = "detect"  # its first recorded trace → detected
    ACKNOWLEDGE = "acknowledge"  # detected → acknowledged
    CONTAIN = "contain"  # detected → proven denial
    REVOKE_ACCEPTED = "revoke-accepted"  # declared → the call was accepted
    REVOKE_PROVEN = "revoke-proven"  # declared → independently proven unusable
    EXPOSURE_WINDOW = "exposure-window"  # occurrence → proven unusable
    RESIDUAL_EXPOSURE = "residual-exposure"  # occurrence → the last object has left the old key
    RESTORE = "restore"  # detected → every consumer works
    DOWNTIME = "downtime"  # the first step that stops a service → every consumer works; an upper bound


class Measure(BaseModel):
    """``lower_seconds`` and ``upper_seconds`` bound the span; they are equal when both moments are exact.

    ``reached``: it is over.  ``running``: it is not, and the bounds say how long it has lasted so far (right-censored).
    ``undefined``: one of its moments is not in the record, and ``why`` says which.  ``from_seq`` and ``to_seq`` are the
    numbers of the events that prove its ends; ``since`` is the latest moment at which what runs can have begun.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: MeasureName
    state: Literal["reached", "running", "undefined"]
    lower_seconds: float | None = Field(default=None, ge=0)
    upper_seconds: float | None = Field(default=None, ge=0, description="None: no upper bound is known.")
    from_seq: int | None = None
    to_seq: int | None = None
    since: AwareDatetime | None = None
    why: str = ""

    def at(self, now: datetime) -> Measure:
        """The same as of ``now`` (aware): what runs has lasted longer; what ended stays as it is."""
        if self.state != "running" or self.since is None:
            return self
        return self.model_copy(update={"lower_seconds": max(0.0, (now - self.since).total_seconds())})


WORDS = {
    MeasureName.DWELL: "From its occurrence until it was noticed",
    MeasureName.DETECT: "From its first trace until it was noticed",
    MeasureName.ACKNOWLEDGE: "From being noticed until somebody took the case",
    MeasureName.CONTAIN: "From being noticed until probes proved containment",
    MeasureName.REVOKE_ACCEPTED: "From the declaration until a backend took the first containing call",
    MeasureName.REVOKE_PROVEN: "From the declaration until probes proved containment",
    MeasureName.EXPOSURE_WINDOW: "From its occurrence until probes proved containment",
    MeasureName.RESIDUAL_EXPOSURE: "From its occurrence until no object was under the old key",
    MeasureName.RESTORE: "From being noticed until every consumer worked again",
    MeasureName.DOWNTIME: "Between the first step that stops a service and every consumer working again, at most",
}
"""Each measure as people read it."""
