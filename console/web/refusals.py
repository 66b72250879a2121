"""Errors of the response as pages that say what happened and what to do next."""

from __future__ import annotations

from fastapi.responses import HTMLResponse

from console.web.pages import told
from playbooks.errors import InvalidInput, KeyquellError, NotApproved

GONE, FORBIDDEN = 410, 403


def gone(error: KeyquellError, sentence: str) -> HTMLResponse:
    """The page of a link that is good no more: why, as the heading; then the sentence, and what to do."""
    if not isinstance(error, NotApproved):
        return refused(error, title="This link cannot be looked up now")
    why = error.message.partition(": ")[2].rstrip(".") or error.message.rstrip(".")
    return told(why[:1].upper() + why[1:], sentence, next_step=error.hint, tone="bad", status=GONE)


def refused(error: KeyquellError, *, title: str, status: int = FORBIDDEN) -> HTMLResponse:
    """The page for an error: ``status`` for what is not allowed, 400 for nonsense, 503 for what may pass by itself."""
    if isinstance(error, NotApproved):
        return told(title, error.message, next_step=error.hint, tone="bad", status=status)
    if isinstance(error, InvalidInput):
        return told(title, error.message, next_step=error.hint or "Open the link again.", tone="bad", status=400)
    return told(
        "This could not be written down",
        "The record did not take it, so it does not count.",
        next_step="Wait a moment and try again with the same link. If it stays so, use the terminal: keyquell approve.",
        tone="bad",
        status=503,
    )
