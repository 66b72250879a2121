"""Is the process alive, and could it respond now?  No names of keys and nothing secret in either answer."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from console.web.threads import Threads
from flows.wiring import Wiring
from playbooks.errors import KeyquellError, RecordError
from playbooks.record import INSTALLATION, EventKind

_LEAST_FREE_BYTES = 32 * 2**20


class Alive(BaseModel):
    """The process answers."""

    status: str
    version: str


class Check(BaseModel):
    """One thing that a response needs, and a sentence on how it stands."""

    what: str
    ok: bool
    sentence: str


class Readiness(BaseModel):
    """``ready`` when every check is ok."""

    ready: bool
    checks: list[Check]


def router(wiring: Wiring, threads: Threads, *, chat: Any) -> APIRouter:
    """The two routes that monitoring asks."""
    routes = APIRouter()
    not_ready: dict[int | str, dict[str, Any]] = {503: {"model": Readiness, "description": "Something needs a look."}}

    @routes.get("/healthz")
    async def healthz() -> Alive:
        """The process is alive, whatever else is the matter."""
        return Alive(status="alive", version=version("keyquell"))

    looking: asyncio.Future[list[Check]] | None = None

    @routes.get("/readyz", response_model=Readiness, responses=not_ready)
    async def readyz() -> Response:
        """Everything that a response needs is there.  Who asks while somebody else waits gets the same answer."""
        nonlocal looking
        if looking is None or looking.done():
            looking = asyncio.ensure_future(threads.run(examine, wiring, chat))
        checks = await asyncio.shield(looking)
        found = Readiness(ready=all(each.ok for each in checks), checks=checks)
        return JSONResponse(found.model_dump(), status_code=200 if found.ready else 503)

    return routes


def examine(wiring: Wiring, chat: Any) -> list[Check]:
    """Every check in turn; none raises."""
    checks = [
        _check("record", _record, wiring),
        _check("roster", _roster, wiring),
        _check("detectors", _detectors, wiring),
    ]
    return [*checks, _chat(chat)] if chat is not None else checks


def _check(what: str, look: Callable[[Wiring], str], wiring: Wiring) -> Check:
    """``look`` returns what is wrong, "" when nothing is."""
    try:
        wrong = look(wiring)
    except KeyquellError:
        wrong = f"The {what} cannot be read; `keyquell doctor` says why."
    if not wrong and what == "roster" and wiring.settings.roster is None:
        return Check(what=what, ok=True, sentence="There is no roster: names count as given, on the terminal alone.")
    return Check(what=what, ok=not wrong, sentence=wrong or _SOUND[what])


_SOUND = {
    "record": "The record can be read and written.",
    "roster": "Who may do what is known.",
    "detectors": "No detector is silent.",
}


def _record(wiring: Wiring) -> str:
    try:
        wiring.records.check_writable()
    except RecordError as error:
        why = error.message.rpartition(": ")[2] if ": " in error.message else "its database refuses"
        return f"The record cannot be written: {why.rstrip('.')}. {error.hint}".rstrip()
    wiring.records.heads()
    scheme, _, place = wiring.settings.records_url.partition(":///")
    if scheme == "sqlite":
        file = Path(place)
        if not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
            return "The record cannot be written: its file or folder is read-only."
        if shutil.disk_usage(file.parent).free < _LEAST_FREE_BYTES:
            return "The record cannot grow: its disk is nearly full."
    return ""


def _roster(wiring: Wiring) -> str:
    wiring.roster  # noqa: B018 - reading it raises when it cannot be read
    return ""


def _detectors(wiring: Wiring) -> str:
    silent: set[str] = set()
    words = [
        event
        for kind in (EventKind.DETECTOR_SILENT, EventKind.DETECTOR_HEARD)
        for event in wiring.records.of_kind(kind, incident=INSTALLATION)
    ]
    for event in sorted(words, key=lambda each: each.seq):
        change = silent.add if event.kind is EventKind.DETECTOR_SILENT else silent.discard
        change(str(event.body["detector"]))
    configured = {str(each.get("name", each.get("type"))) for each in wiring.settings.detectors}
    lost = sorted(silent & configured)
    return f"Silent for too long: {', '.join(lost)}." if lost else ""


def _chat(chat: Any) -> Check:
    up = bool(getattr(chat, "connected", True))
    return Check(what="chat", ok=up, sentence="The chat is connected." if up else "The chat is not connected.")
