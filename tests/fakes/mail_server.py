"""A mail server on this machine: takes mail by SMTP, with login, and refuses when it is told to."""

from __future__ import annotations

import base64
import contextlib
import email
import email.policy
import socketserver
import threading
from email.message import EmailMessage
from typing import Self


class MailServer:
    """Listens at ``port`` until it is closed; ``mails`` are (recipients, message) in order.

    ``refusal`` answers every recipient instead of 250, for example ``550 no such user``.  With ``login``, only that
    user and password (``AUTH PLAIN``) may send.
    """

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.refusal = ""
        self.login: tuple[str, str] | None = None
        server = self

        class Session(socketserver.StreamRequestHandler):
            timeout = 10

            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    _converse(server, self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads, block_on_close, allow_reuse_address = True, False, True

        self._server = Server(("127.0.0.1", 0), Session)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="mail", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _converse(server: MailServer, session: socketserver.StreamRequestHandler) -> None:
    recipients: list[str] = []
    allowed = server.login is None

    def say(text: str) -> None:
        session.wfile.write(f"{text}\r\n".encode())

    say("220 mail.example.com ESMTP")
    while line := session.rfile.readline().decode("utf-8", "replace").strip():
        verb = line.upper()
        if verb.startswith("EHLO"):
            say("250-mail.example.com\r\n250-AUTH PLAIN\r\n250 SMTPUTF8")
        elif verb.startswith("AUTH PLAIN"):
            allowed = _is(line.split()[-1], server.login)
            say("235 2.7.0 ok" if allowed else "535 5.7.8 bad credentials")
        elif verb.startswith("QUIT"):
            say("221 bye")
            return
        elif not allowed:
            say("530 5.7.0 log in first")
        elif verb.startswith("MAIL"):
            recipients.clear()
            say("250 ok")
        elif verb.startswith("RCPT"):
            recipients.append(line.partition("<")[2].partition(">")[0])
            say(server.refusal or "250 ok")
        elif verb.startswith("DATA"):
            say("354 go on")
            server.mails.append((list(recipients), _read(session)))
            say("250 taken")
        else:
            say("250 ok")


def _read(session: socketserver.StreamRequestHandler) -> EmailMessage:
    lines = []
    while (line := session.rfile.readline()) not in (b".\r\n", b""):
        lines.append(line[1:] if line.startswith(b"..") else line)
    return email.message_from_bytes(b"".join(lines), policy=email.policy.default)  # type: ignore[return-value]


def _is(given: str, login: tuple[str, str] | None) -> bool:
    return login is not None and base64.b64decode(given).decode().split("\0")[1:] == list(login)
