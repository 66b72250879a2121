"""Runs one response in this process on the local Prefect server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from flows.prefect_server import default_home, prefect_server


def run_response(config: Path, incident_id: str, *, wait_for_approval_seconds: float = 0.0) -> str:
    """Drive an incident; returns ``closed``, ``blocked`` or ``waiting`` (for approvals).

    May be killed at any moment and started again: the record says what is done.
    """
    with prefect_server(default_home()):
        from flows.respond import respond

        return str(asyncio.run(respond(str(config), incident_id, wait_for_approval_seconds=wait_for_approval_seconds)))
