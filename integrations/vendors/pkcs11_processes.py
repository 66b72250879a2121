"""Worker processes of PKCS#11 modules, made from one template process for each process of ours."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from integrations.vendors.pkcs11_frames import pack, size_of, unpack
from playbooks.errors import Unreachable

_START_SECONDS = 10.0
_END_SECONDS = 5.0


class WorkerError(Exception):
    """A worker answered with an error; ``code`` is the CKR_ name."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code or detail)
        self.code = code
        self.detail = detail


class Worker:
    """One worker process, as fresh as a new one; not shared between threads (Connection holds a lock)."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        theirs, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        try:
            self.pid, self._watched = _TEMPLATE.copy(environment, theirs, answers)
        except BaseException:
            os.close(self._requests)
            os.close(self._answers)
            raise
        finally:
            os.close(theirs)
            os.close(answers)
        os.set_blocking(self._requests, False)
        self._ended = False

    def call(self, name: str, arguments: Mapping[str, Any], *, seconds: float) -> Any:
        """One call; ends the process and raises Unreachable when it takes longer or the process dies.

        In the list that a batch returns, a WorkerError stands for each item that failed.
        """
        deadline = time.monotonic() + seconds
        try:
            self._send(pack({"call": name, **arguments}), deadline)
            size = size_of(self._receive(4, deadline))
            answer = unpack(self._receive(size, deadline))
        except TimeoutError as error:
            self.end()
            raise Unreachable(f"the HSM did not answer {name} within {seconds:g} s", code="TIMEOUT") from error
        except (EOFError, BrokenPipeError) as error:
            self.end()
            raise Unreachable(f"the HSM module ended its process during {name}", code="CRASHED") from error
        if "error" in answer:
            raise WorkerError(str(answer["error"]), str(answer.get("detail", "")))
        for index, code in answer.get("failed", {}).items():
            answer["ok"][int(index)] = WorkerError(code, "")
        return answer["ok"]

    def end(self) -> None:
        """End the process at once; fine when it has ended."""
        if self._ended:
            return
        self._ended = True
        try:
            signal.pidfd_send_signal(self._watched, signal.SIGKILL)
            select.select([self._watched], [], [], _END_SECONDS)
        except ProcessLookupError:
            pass
        finally:
            for descriptor in (self._watched, self._requests, self._answers):
                os.close(descriptor)

    def _send(self, frame: bytes, deadline: float) -> None:
        view = memoryview(frame)
        while view:
            if not select.select([], [self._requests], [], max(0.0, deadline - time.monotonic()))[1]:
                raise TimeoutError
            view = view[os.write(self._requests, view) :]

    def _receive(self, size: int, deadline: float) -> bytes:
        received = bytearray()
        while len(received) < size:
            if not select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            chunk = os.read(self._answers, min(size - len(received), 1 << 20))
            if not chunk:
                raise EOFError
            received += chunk
        return bytes(received)


class _Template:
    """The template process of this process, started when first wanted and again when it ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Start without waiting, so that the first worker need not wait for the imports."""
        with self._lock:
            self._running()

    def copy(self, environment: Mapping[str, str], requests: int, answers: int) -> tuple[int, int]:
        """Pid and pidfd of a new worker.  Raises Unreachable when none can be made."""
        request = json.dumps(dict(environment)).encode()
        with self._lock:
            for _ in range(2):
                control = self._running()
                try:
                    socket.send_fds(control, [request], [requests, answers])
                    answer, watched, _, _ = socket.recv_fds(control, 64, 1)
                except OSError:
                    answer, watched = b"", []
                if answer and watched:
                    return int(answer), watched[0]
                self._stop()
        raise Unreachable("no process for the HSM module could be started", code="NO_WORKER")

    def _running(self) -> socket.socket:
        if self._control is not None and self._owner == os.getpid():
            return self._control
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(_START_SECONDS)
        source = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH", ""))))
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "integrations.vendors.pkcs11_template", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "PYTHONPATH": path},
            )
        self._owner, self._control = os.getpid(), ours
        return ours

    def _stop(self) -> None:
        """Hang up; its workers live on until their own pipes close."""
        if self._control is None or self._process is None or self._owner != os.getpid():
            return
        self._control.close()
        self._control = None
        self._process.kill()
        self._process.wait()


_TEMPLATE = _Template()
atexit.register(_TEMPLATE._stop)


def start_template() -> None:
    """Have the template ready before a worker is wanted; returns at once."""
    _TEMPLATE.start()
