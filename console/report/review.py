"""A review as Markdown, as one HTML page, and as PDF."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from playbooks.comparison import Column, Comparison
from playbooks.errors import InvalidInput
from playbooks.metrics.measure import WORDS, Measure, MeasureName
from playbooks.record import Event
from playbooks.review import PARTS, draft_review
from playbooks.visible import visible

NOTHING = Comparison()
"""A review that stands beside no other."""
FORMATS = (".md", ".html", ".pdf")
_SPECIAL = re.compile(r"([\\`*_\[\]|#])")


def _cell(text: str) -> str:
    """One line of Markdown in which nothing that others wrote is a mark."""
    line = visible(" ".join(text.split()))
    return escape(_SPECIAL.sub(r"\\\1", line), quote=False)


def span(span: timedelta) -> str:
    """``1.25 s``, ``3 min 20 s``, ``2 h 5 min``."""
    seconds = span.total_seconds()
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"


def lasted(measure: Measure) -> str:
    """How long it lasted, as far as it is known."""
    if measure.state == "undefined" or measure.lower_seconds is None:
        return f"not known: {measure.why}"
    least = span(timedelta(seconds=measure.lower_seconds))
    if measure.state == "running":
        return f"not yet; over {least} so far"
    if measure.upper_seconds is None:
        return f"{least} or more"
    most = span(timedelta(seconds=measure.upper_seconds))
    return least if least == most else f"{least} to {most}"


def figure(column: Column, name: MeasureName) -> str:
    """A measure of one exercise among others; what an ended one never reached is not told as if it went on."""
    measure = column.measures.get(name)
    if measure is None or measure.state == "undefined" or measure.lower_seconds is None:
        return "not known"
    if measure.state == "running" and column.ended:
        return f"never; {span(timedelta(seconds=measure.lower_seconds))} until its end"
    return lasted(measure)


def _exactly(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def _environment(*, html: bool) -> Environment:
    made = Environment(
        loader=PackageLoader("console", "report"),
        autoescape=html,  # noqa: S701 - Markdown is escaped by its own filter, ``cell``
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(visible=visible, cell=_cell, span=span, moment_exact=_exactly, lasted=lasted, figure=figure)
    return made


_PAGES, _TEXTS = _environment(html=True), _environment(html=False)


def review_markdown(events: Sequence[Event], *, now: datetime, compared: Comparison = NOTHING) -> str:
    """The review as Markdown.  Raises RecordError when the events contradict one another."""
    return _TEXTS.get_template("review.md.j2").render(**_content(events, now, compared)).lstrip()


def review_html(events: Sequence[Event], *, now: datetime, compared: Comparison = NOTHING) -> str:
    """The review as one self-contained page.  Raises like ``review_markdown``."""
    return _PAGES.get_template("review.html.j2").render(**_content(events, now, compared)).lstrip()


def review_pdf(events: Sequence[Event], *, now: datetime, compared: Comparison = NOTHING) -> bytes:
    """The review as PDF.  Raises InvalidInput where WeasyPrint lacks its system library, else like the others."""
    try:
        from weasyprint import HTML
    except OSError as error:
        hint = "Install Pango (Debian: libpango-1.0-0 libpangoft2-1.0-0), or take .html."
        raise InvalidInput("a PDF cannot be made here: the system library Pango is missing.", hint=hint) from error
    return bytes(HTML(string=review_html(events, now=now, compared=compared), url_fetcher=_nothing).write_pdf())


def review_as(ending: str, events: Sequence[Event], *, now: datetime, compared: Comparison = NOTHING) -> bytes:
    """The review in the format of an ending (``FORMATS``).  Raises like the function of that format."""
    if ending == ".pdf":
        return review_pdf(events, now=now, compared=compared)
    made = {".md": review_markdown, ".html": review_html}[ending]
    return made(events, now=now, compared=compared).encode()


def write_review(events: Sequence[Event], file: Path, *, now: datetime, compared: Comparison = NOTHING) -> None:
    """Write it whole or not at all, in the format that the name ends with.

    Raises InvalidInput for another ending, or when the file cannot be written.
    """
    if file.suffix not in FORMATS:
        raise InvalidInput(f"{file.name} ends with none of {', '.join(FORMATS)}.", hint="The ending says the format.")
    made = review_as(file.suffix, events, now=now, compared=compared)
    beside = file.with_name(f".{file.name}.part")
    try:
        beside.write_bytes(made)
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InvalidInput(f"{file} cannot be written ({error.strerror}).") from error


def _content(events: Sequence[Event], now: datetime, compared: Comparison) -> dict[str, Any]:
    return {
        "review": draft_review(events, now=now),
        "events": events,
        "parts": PARTS,
        "words": WORDS,
        "compared": compared,
    }


def _nothing(url: str, *_rest: Any, **_more: Any) -> Any:
    """A review fetches nothing from anywhere."""
    raise ValueError(f"a review refers to nothing outside: {url[:40]}")
