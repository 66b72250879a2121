"""What the options of the receivers of findings, traces and checkpoints share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

SECONDS = 5.0
"""How long a receiver may take to answer."""
CONNECT_SECONDS = 2.0


class ReceiverOptions(BaseModel):
    """What every receiver has."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: str = ""
    name: str = ""
