"""Pages as HTML: Jinja templates with everything escaped, and nothing invisible in what people agree to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from playbooks.visible import visible

Tone = Literal["good", "bad", "calm"]

_HERE = Path(__file__).parent
STATIC = _HERE / "static"
"""The style sheet, the icon and the script that asks for a passkey."""


def prose(text: str) -> Markup:
    """A sentence with its `commands` set as code."""
    parts = visible(text).split("`")
    marked = [
        Markup("<code>{}</code>").format(each) if number % 2 else escape(each) for number, each in enumerate(parts)
    ]
    return Markup("").join(marked)


def moment(at: datetime) -> str:
    """``14:05 UTC on 2 March 2026``: a time that means the same to everybody."""
    utc = at.astimezone(UTC)
    return f"{utc:%H:%M} UTC on {utc.day} {utc:%B %Y}"


def page(template: str, *, status: int = 200, **content: Any) -> HTMLResponse:
    """A template as a response."""
    return HTMLResponse(_TEMPLATES.get_template(template).render(content), status_code=status)


def told(title: str, *sentences: str, next_step: str = "", tone: Tone = "calm", status: int = 200) -> HTMLResponse:
    """A page that only says something: what happened, and what to do next."""
    return page(
        "told.html", status=status, title=title, sentences=_whole(sentences), next_step=_capital(next_step), tone=tone
    )


def _whole(sentences: Sequence[str]) -> list[str]:
    return [_capital(each) for each in sentences if each]


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(visible=visible, prose=prose, moment=moment)
    return made


_TEMPLATES = _environment()
