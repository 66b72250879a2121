"""Servers of a lab: started in a private directory, bound to loopback, and always brought down.

Every process runs in its own process group and is written to ``processes.jsonl`` (pid and creation time, synced) right
after it starts; ``sweep`` ends what a killed lab left behind.  Linux's PDEATHSIG is not used: it fires when the
*thread* that started the child ends, and labs start their servers from threads.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from playbooks.errors import KeyquellError


class LabError(KeyquellError):
    """A server of the lab did not start or did not become ready."""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts_tcp(port: int) -> Callable[[], bool]:
    """A readiness check: does something listen on this loopback port?"""

    def ready() -> bool:
        with socket.socket() as probe:
            probe.settimeout(0.2)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return ready


class Processes:
    """The child processes of one lab directory, as a context manager."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        ready: Callable[[], bool] | None = None,
        timeout_seconds: float = 30.0,
        user: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a server, log to ``NAME.log``, and wait until ``ready`` says yes.

        Raises LabError with the log's last lines when it ends early or does not become ready in time.
        """
        log = self.directory / f"{name}.log"
        with log.open("ab") as stream:
            child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                user=user,
            )
        self._note(name, child.pid)
        self._children[name] = child
        deadline = time.monotonic() + timeout_seconds
        while ready is not None and not ready():
            if child.poll() is not None or time.monotonic() > deadline:
                why = f"ended with {child.returncode}" if child.poll() is not None else "did not become ready"
                self.stop(name)
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
                raise LabError(f"the lab's {name} {why}.", hint=f"Its log {log} ends:\n{tail}")
            time.sleep(0.02)
        return child

    def stop(self, name: str, *, grace_seconds: float = 3.0) -> None:
        """End one server and its whole process group; fine when it is gone already."""
        child = self._children.pop(name, None)
        if child is not None:
            _end_group(child.pid, grace_seconds)
            child.wait()

    def stop_all(self) -> None:
        """End every server, the last started first."""
        for name in reversed(list(self._children)):
            self.stop(name)

    def running(self, name: str) -> bool:
        """Is this server alive?"""
        child = self._children.get(name)
        return child is not None and child.poll() is None

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop_all()

    def _note(self, name: str, pid: int) -> None:
        created = psutil.Process(pid).create_time() if psutil.pid_exists(pid) else 0.0
        with (self.directory / "processes.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"name": name, "pid": pid, "created": created}) + "\n")
            stream.flush()
            os.fsync(stream.fileno())


def sweep(directory: Path) -> list[str]:
    """End what a killed lab left running, by its notes; returns the names of what was still alive."""
    notes = directory / "processes.jsonl"
    ended: list[str] = []
    if not notes.exists():
        return ended
    for line in reversed(notes.read_text(encoding="utf-8").splitlines()):
        note = json.loads(line)
        try:
            alive = abs(psutil.Process(note["pid"]).create_time() - note["created"]) < 1.0
        except psutil.NoSuchProcess:
            continue
        if alive:
            _end_group(note["pid"], 2.0)
            ended.append(note["name"])
    return ended


def _end_group(pid: int, grace_seconds: float) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + grace_seconds
        while time.monotonic() < deadline:
            if not _group_alive(pid):
                return
            time.sleep(0.02)


def _group_alive(group: int) -> bool:
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                return True
        except ProcessLookupError:
            continue
    return False
