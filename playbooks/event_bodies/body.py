"""What every event's body shares."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """Any event's body."""

    model_config = ConfigDict(frozen=True, extra="ignore")
