"""What every page is given: the response's parts, who looks, and the frame around what is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import HTMLResponse
from starlette.requests import Request

from console.web.pages import page
from console.web.threads import Threads
from console.web.visitors import Visitors
from flows.background import Background
from flows.overview import Overview
from flows.wiring import Wiring
from playbooks.desk import Desk


@dataclass(frozen=True, slots=True)
class Section:
    """An entry of the navigation: its path, its word, and what its page answers in one sentence."""

    path: str
    label: str
    question: str


@dataclass(frozen=True, slots=True)
class Site:
    """Handed to every view.  ``sections`` is the navigation, ``people`` the threads for pages.

    ``slow`` are looks that take seconds the first time, and are taken before somebody asks.
    """

    wiring: Wiring
    desk: Desk
    background: Background
    overview: Overview
    visitors: Visitors
    people: Threads
    sections: tuple[Section, ...]
    slow: list[Callable[[], object]] = field(default_factory=list)

    def show(
        self, request: Request, template: str, *, section: Section | None = None, status: int = 200, **content: Any
    ) -> HTMLResponse:
        """A page inside the frame, for the visitor of this request.  Raises SignInNeededError when there is none."""
        frame = {"visitor": self.visitors.of(request), "sections": self.sections, "here": section}
        return page(template, status=status, now=self.wiring.clock(), **frame, **content)
