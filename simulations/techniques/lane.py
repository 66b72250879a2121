"""One lane of an attack in its own process: it holds a connection, tries when told to, and can be ended when it hangs.

PKCS#11 calls cannot be interrupted, so every lane runs behind a watchdog: no answer in time is the code ``timeout``,
which is no refusal, and the next try starts in a new process.  Processes are forked from a server that has imported the
technique and nothing else, so a new one costs milliseconds and inherits no session of an HSM.
"""

from __future__ import annotations

import multiprocessing
import signal
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from typing import ClassVar, Protocol

from simulations.journals import AdversaryConfig, Loot

TECHNIQUES = {
    "aws-kms-decrypt": "simulations.techniques.aws_kms_decrypt:AwsKmsDecrypt",
    "pkcs11-decrypt": "simulations.techniques.pkcs11_decrypt:Pkcs11Decrypt",
    "transit-offline-decrypt": "simulations.techniques.transit_offline_decrypt:TransitOfflineDecrypt",
    "pkcs11-sign-forgery": "simulations.techniques.pkcs11_sign_forgery:Pkcs11SignForgery",
}
"""Technique name → ``module:Class``, imported only where it is used."""

_START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one try brought.

    ``ok`` means that the attacker got what it wanted, not that a call returned.  ``code`` is the backend's own code on
    failure, or ``timeout``, ``unreachable``, ``throttled`` for what is no refusal; ``detail`` is the route.
    ``lost_connection`` asks for a new process before the next try.
    """

    ok: bool
    code: str = ""
    detail: str = ""
    lost_connection: bool = False


class Technique(Protocol):
    """One way to abuse what leaked; ``lanes`` are the ways in that run in processes of their own."""

    lanes: ClassVar[tuple[str, ...]]

    def __init__(self, config: AdversaryConfig, loot: Loot, *, lane: str) -> None: ...
    def attempt(self) -> Finding: ...


def find_technique(name: str) -> type[Technique]:
    """The class of a technique; KeyError for an unknown name."""
    module, _, member = TECHNIQUES[name].partition(":")
    found: type[Technique] = getattr(import_module(module), member)
    return found


class Lane:
    """The parent's side of a lane."""

    def __init__(self, config: AdversaryConfig, name: str, *, timeout_seconds: float = 4.0) -> None:
        self.name = name
        self._config = config
        self._timeout_seconds = timeout_seconds
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def ready(self) -> bool:
        """Start the process if there is none, and wait until it can try; False when it cannot be started."""
        if self._process is not None and self._process.is_alive():
            return True
        self.end()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([TECHNIQUES[self._config.technique].partition(":")[0]])
        try:
            ours, theirs = context.Pipe()
            self._process = context.Process(
                target=_serve, args=(theirs, self._config.model_dump_json(), self.name), daemon=True
            )
            self._process.start()
            theirs.close()
            self._pipe = ours
            return ours.poll(_START_SECONDS) and ours.recv() == "ready"
        except (EOFError, OSError):
            self.end()
            return False

    def attempt(self) -> Finding:
        """Make one try; never raises and never takes longer than the timeout.  ``ready`` comes before it."""
        if self._pipe is None:
            return Finding(False, "unreachable", self.name)
        try:
            self._pipe.send("try")
            if not self._pipe.poll(self._timeout_seconds):
                self.end()
                return Finding(False, "timeout", self.name)
            finding: Finding = self._pipe.recv()
        except (EOFError, OSError):
            self.end()
            return Finding(False, "unreachable", self.name)
        if finding.lost_connection:
            self.end()
        return finding

    def end(self) -> None:
        """End the process at once."""
        process, self._process = self._process, None
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()
        if process is not None:
            process.kill()
            process.join(1.0)


def _serve(pipe: Connection, config_json: str, lane: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # the adversary itself ends its lanes, by closing the pipe
        signal.signal(number, signal.SIG_IGN)
    config = AdversaryConfig.model_validate_json(config_json)
    kind = find_technique(config.technique)
    technique: Technique | None = None
    pipe.send("ready")
    while True:
        try:
            pipe.recv()
            if technique is None:
                loot = Loot.model_validate_json(config.loot.read_text(encoding="utf-8"))
                technique = kind(config, loot, lane=lane)
            pipe.send(technique.attempt())
        except (EOFError, BrokenPipeError):
            return
        except Exception as error:  # noqa: BLE001 - an attacker goes on whatever happens; the kind is journalled
            pipe.send(Finding(False, "unreachable", f"{lane} ({type(error).__name__})"))
