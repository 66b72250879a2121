"""The web page as one service of ``keyquell serve``: uvicorn on one address, stopped without dropping a request."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from console.web.connections import Impatient
from playbooks.errors import InvalidInput

_GRACE_SECONDS = 5


class WebServer:
    """Serves the app until told to stop.  ``port`` 0 takes a free one; ``port`` then says which, once it listens."""

    name = "web"

    def __init__(self, app: FastAPI, address: str, port: int, *, say: Callable[[str], None] = lambda _: None) -> None:
        self.address = address
        self.port = port
        self.listening = asyncio.Event()
        self._app = app
        self._say = say
        self._listener: socket.socket | None = None

    def bind(self) -> None:
        """Take the address before anything runs.  Raises InvalidInput when it cannot be listened on."""
        if self._listener is None:
            self._listener = self._socket()
            self.port = self._listener.getsockname()[1]

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until ``stop``; requests under way get five seconds to end.

        Raises InvalidInput when the address cannot be listened on.
        """
        self.bind()
        bound, self._listener = self._listener, None
        assert bound is not None  # noqa: S101 - bind has set it
        with bound as listener:
            server = _Server(self._config())
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            stopping = asyncio.create_task(stop.wait())
            self.listening.set()
            self._say(f"The web page listens on {self._shown()}.")
            try:
                await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._app.state.stopping = True
                server.should_exit = True
                stopping.cancel()
                await serving
                self.listening.clear()

    def _config(self) -> uvicorn.Config:
        """No access log (paths hold tokens) and no belief in forwarded headers: the app sees to both itself."""
        return uvicorn.Config(
            self._app,
            http=Impatient,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            lifespan="off",
            ws="none",
            log_config=None,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            h11_max_incomplete_event_size=64 * 1024,
        )

    def _socket(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.address, self.port))
            listener.listen(128)
        except OSError as error:
            listener.close()
            reason = "the port is taken" if error.errno == errno.EADDRINUSE else error.strerror
            raise InvalidInput(
                f"web: {self.address} port {self.port} cannot be listened on: {reason}.",
                hint="Set web.address and web.port in keyquell.yaml.",
            ) from error
        return listener

    def _shown(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class _Server(uvicorn.Server):
    """Leaves signals to ``keyquell serve``, which stops everything in order."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
