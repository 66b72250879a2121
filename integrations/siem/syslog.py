"""Findings by syslog (RFC 5424): over TLS (RFC 5425), TCP (RFC 6587, octet counting) or UDP (RFC 5426)."""

from __future__ import annotations

import json
import os
import select
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, JsonValue

from integrations.options import Authorities, read_options
from integrations.receiver_options import CONNECT_SECONDS, SECONDS, ReceiverOptions
from playbooks.errors import Refused, Unreachable
from playbooks.ports import Clock
from playbooks.timings import rfc3339

_FACILITY = 10  # security and authorization messages
_SEVERITIES = {2: 5, 3: 4, 4: 3, 5: 2}  # OCSF low … critical to notice … critical
_MOST_UDP = 65_507 - 20
_UNKNOWN = 6


class SyslogOptions(ReceiverOptions):
    """``ca_file`` holds the authorities that are believed over TLS; default: those of the system."""

    host: str
    port: int = Field(default=6514, ge=1, le=65535)
    transport: Literal["tls", "tcp", "udp"] = "tls"
    ca_file: Authorities = None


class Syslog:
    """One message a finding, ASCII JSON, on a connection that is kept.

    Syslog answers nothing: a message has arrived, as far as anybody can tell, when the operating system took it and the
    other side had not closed.  Where none may be lost, take a webhook or a file.
    """

    def __init__(self, options: SyslogOptions, context: ssl.SSLContext | None, *, clock: Clock) -> None:
        self._options = options
        self._context = context
        self._clock = clock
        self._held: socket.socket | None = None

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Options: ``host``, ``port``, ``transport``, ``ca_file``.  Raises InvalidInput naming the wrong field."""
        read = read_options(SyslogOptions, f"siem.{name}", options)
        context = ssl.create_default_context(cafile=read.ca_file) if read.transport == "tls" else None
        return cls(read, context, clock=clock)

    def send(self, finding: Mapping[str, JsonValue]) -> None:
        """Raises Unreachable when the connection breaks, Refused for what UDP cannot carry."""
        message = self._message(finding)
        subject = f"{self._options.host}:{self._options.port}"
        if self._options.transport == "udp" and len(message) > _MOST_UDP:
            raise Refused("the finding is too long for UDP.", subject=subject, hint="Set transport to tls or tcp.")
        frame = message if self._options.transport == "udp" else f"{len(message)} ".encode() + message
        try:
            self._socket().sendall(frame)
        except OSError as error:
            self.close()
            raise Unreachable(
                f"the syslog receiver does not take it ({type(error).__name__}).",
                subject=subject,
                hint="It is tried again.",
            ) from error

    def close(self) -> None:
        """End the connection."""
        held, self._held = self._held, None
        if held is not None:
            held.close()

    def _socket(self) -> socket.socket:
        if self._held is not None and self._options.transport != "udp" and _is_closed(self._held):
            self.close()
        if self._held is None:
            self._held = self._connect()
            self._held.settimeout(SECONDS)
        return self._held

    def _connect(self) -> socket.socket:
        place = (self._options.host, self._options.port)
        if self._options.transport == "udp":
            family, kind, protocol, _, address = socket.getaddrinfo(*place, type=socket.SOCK_DGRAM)[0]
            made = socket.socket(family, kind, protocol)
            made.connect(address)
            return made
        plain = socket.create_connection(place, timeout=CONNECT_SECONDS)
        if self._context is None:
            return plain
        try:
            return self._context.wrap_socket(plain, server_hostname=self._options.host)
        except OSError:
            plain.close()
            raise

    def _message(self, finding: Mapping[str, JsonValue]) -> bytes:
        severity = finding.get("severity_id")
        priority = _FACILITY * 8 + _SEVERITIES.get(severity if isinstance(severity, int) else 0, _UNKNOWN)
        host = socket.gethostname().encode("ascii", "replace").decode()[:255] or "-"
        head = f"<{priority}>1 {rfc3339(self._clock())} {host} keyquell {os.getpid()} ocsf-2005 - "
        return (head + json.dumps(finding, separators=(",", ":"))).encode("ascii")


def _is_closed(held: socket.socket) -> bool:
    """Has the other side ended the connection?  A receiver never speaks, so that anything to read is its end."""
    if isinstance(held, ssl.SSLSocket):
        return _is_tls_ended(held)
    return bool(select.select([held], [], [], 0)[0])


def _is_tls_ended(held: ssl.SSLSocket) -> bool:
    """TLS 1.3 sends session tickets, which are no data: a read that would block means that it still stands."""
    held.setblocking(False)
    try:
        return held.recv(1) == b""
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return False
    except OSError:
        return True
    finally:
        held.settimeout(SECONDS)
