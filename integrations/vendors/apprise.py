"""Apprise behind a wall: one URL is one address; its logs go nowhere, because they and the URLs hold secrets.

Measured with apprise 1.13: a plugin answers False and logs why, e-mail waits 15 s for a server, most plugins sleep up
to 5.5 s between two messages, and redirects are followed.  All of that is set otherwise here.
"""

from __future__ import annotations

import contextvars
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apprise

from playbooks.errors import BackendError, InvalidInput, Refused, Throttled, Unavailable, Unreachable

_CONNECT_SECONDS, _READ_SECONDS, _PAUSE_SECONDS = 2.0, 5.0, 1.0
_OWN_SERVERS = frozenset({"json", "jsons", "xml", "xmls", "form", "forms"})
_HTTP = re.compile(r"error=(\d{3})\b")
_SMTP = re.compile(r"\((\d{3}), b['\"]")
_LIMIT = 100

_heard: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("_heard", default=None)


class _Wall(logging.Filter):
    """Lets nothing through while a message is sent; of what was said, the codes are kept."""

    def __init__(self, *, always: bool) -> None:
        super().__init__()
        self._always = always

    def filter(self, record: logging.LogRecord) -> bool:
        heard = _heard.get()
        if heard is None:
            return not self._always
        if len(heard) < _LIMIT:
            text = record.getMessage()
            heard += [f"HTTP {code}" for code in _HTTP.findall(text)] + [f"SMTP {code}" for code in _SMTP.findall(text)]
        return False


for _name, _always in (("apprise", True), ("urllib3.connectionpool", False), ("urllib3.util.retry", False)):
    logging.getLogger(_name).addFilter(_Wall(always=_always))
# The codes of a mail server are said at this level only; the wall keeps it from everybody else.
logging.getLogger("apprise").setLevel(logging.DEBUG)


@contextmanager
def _listening() -> Iterator[list[str]]:
    codes: list[str] = []
    token = _heard.set(codes)
    try:
        yield codes
    finally:
        _heard.reset(token)


class Address:
    """One opened Apprise URL; ``label`` names it in errors, which never hold the URL."""

    def __init__(self, url: str, *, label: str) -> None:
        asset = apprise.AppriseAsset(
            async_mode=False, http_redirects=False, app_id="keyquell", secure_logging=True, storage_mode="memory"
        )
        with _listening():
            try:
                service: Any = apprise.Apprise.instantiate(url, asset=asset)
            except Exception:  # noqa: BLE001  a plugin may raise anything, and its text may hold the URL
                service = None
        if service is None:
            hint = "See the documentation of Apprise for the form of its URLs."
            raise InvalidInput(f"{label}: what it points at is no Apprise URL", hint=hint)
        self._label = label
        self._service = service
        self._schemes = _schemes(service)
        mail = "mailto" in self._schemes
        service.socket_connect_timeout = _READ_SECONDS if mail else _CONNECT_SECONDS
        service.socket_read_timeout = _READ_SECONDS
        service.request_rate_per_sec = min(float(service.request_rate_per_sec), _PAUSE_SECONDS)
        service.redirects, service.retry = False, 0
        # The plugin alone would put text into HTML mail as it is; Apprise around it escapes.
        self._sender = apprise.Apprise(servers=service, asset=asset)

    def __repr__(self) -> str:
        return f"Address({self._label!r})"

    @property
    def place(self) -> str:
        """The scheme, and the host of a mail domain or an own server; other services have a secret in that place."""
        scheme = str(getattr(self._service, "schema", "") or min(self._schemes, default="apprise"))
        own = not self._schemes.isdisjoint(_OWN_SERVERS | {"mailto"})
        return f"{scheme}://{str(getattr(self._service, 'host', '') or '') if own else ''}"

    def stays_inside(self, inside: tuple[str, ...]) -> bool:
        """Is everybody whom it reaches inside?

        ``inside`` holds domains (a name covers those below it) and schemes (``slack://``).  E-mail addresses count by
        their domain alone, own servers by their host or scheme, everything else by its scheme.
        """
        domains = [each.lower().lstrip("@") for each in inside if not each.endswith("://")]
        if "mailto" in self._schemes or self._recipients():
            found = [address.rpartition("@")[2] for address in self._recipients()]
            return bool(found) and all(_within(domain, domains) for domain in found)
        host = str(getattr(self._service, "host", "") or "").lower()
        marked = any(f"{scheme}://" in inside for scheme in self._schemes)
        return marked or (not self._schemes.isdisjoint(_OWN_SERVERS) and _within(host, domains))

    def send(self, *, title: str, body: str, subject: str) -> None:
        """Send one message, in one try; errors are about ``subject`` and say only a code."""
        with _listening() as codes:
            try:
                taken = self._sender.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT)
            except Exception as error:  # noqa: BLE001  a plugin may raise anything, and its text may hold the URL
                codes.append(type(error).__name__)
                taken = False
        if not taken:
            raise _error(self._label, codes[-1] if codes else "", subject)

    def _recipients(self) -> list[str]:
        """Every e-mail address among the recipients, in lower case."""
        found: list[str] = []
        for name in ("targets", "cc", "bcc"):
            for each in getattr(self._service, name, None) or ():
                parts = each if isinstance(each, (tuple, list)) else (each,)
                found += [part.lower() for part in parts if isinstance(part, str) and "@" in part]
        return found


def _schemes(service: Any) -> frozenset[str]:
    """The schemes of the service itself, also where its URL was given as a plain https address."""
    given = (service.protocol, service.secure_protocol)
    return frozenset(each for names in given for each in ((names,) if isinstance(names, str) else names or ()))


def _within(domain: str, domains: list[str]) -> bool:
    return any(domain == each or domain.endswith(f".{each}") for each in domains)


def _error(label: str, code: str, subject: str) -> BackendError:
    """The error of ours for a code such as ``HTTP 429`` or ``SMTP 550``; "" is a connection that failed."""
    message = f"{label} did not take the message ({code or 'no connection'})."
    if code in ("HTTP 401", "HTTP 403", "SMTP 530", "SMTP 535"):
        return Refused(message, subject=subject, code=code, hint="Check the login or token in its URL.")
    if code == "HTTP 429":
        return Throttled(message, subject=subject, code=code, hint="Try again in a minute.")
    if code.startswith(("HTTP 4", "HTTP 3", "SMTP 5")):
        return Unavailable(message, subject=subject, code=code, hint="Check the address and its permissions.")
    return Unreachable(message, subject=subject, code=code, hint="Check the network; it can be tried again.")
