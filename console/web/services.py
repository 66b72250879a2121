"""What ``keyquell serve`` listens to beside the detectors: the web page, and the chat where one is configured."""

from __future__ import annotations

from collections.abc import Sequence

from console.web.app import create_app
from console.web.server import WebServer
from flows.background import Background
from flows.desk import ResponseDesk
from flows.serve import Say, Service
from flows.wiring import Wiring


def services(wiring: Wiring, background: Background, say: Say) -> Sequence[Service]:
    """The web page on the configured address, and the chat."""
    desk = ResponseDesk(wiring, background)
    chat = wiring.chat(desk)
    web = wiring.settings.web
    app = create_app(wiring, desk, background, chat=chat)
    found: list[Service] = [WebServer(app, web.address, web.port, say=say)]
    return [*found, chat] if chat is not None else found
