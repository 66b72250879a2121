"""An HSM for the lab: SoftHSM with a private token directory, and the same token served over a socket by p11-kit."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from integrations.vendors.pkcs11_client import GENERATE_SECONDS, Connection, Pkcs11Options, Worker, log_in_with_pin
from simulations.lab import evict_hsm_clients
from simulations.lab.processes import LabError, Processes

_SOFTHSM = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so")
_CLIENTS = (
    "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib64/pkcs11/p11-kit-client.so",
)
_INSTALL = "Run: apt-get install softhsm2 p11-kit p11-kit-modules."


@dataclass(frozen=True)
class SoftHsm:
    """A SoftHSM 2 token of its own, with random PINs in files of mode 0600."""

    directory: Path
    label: str
    module: Path

    @classmethod
    def start(cls, processes: Processes, directory: Path, label: str = "kek-hsm") -> Self:
        """Make the token; nothing is left running.  Raises LabError when SoftHSM is not installed."""
        if shutil.which("softhsm2-util") is None:
            raise LabError("softhsm2-util is not installed.", hint=_INSTALL)
        hsm = cls(directory, label, _first(_SOFTHSM))
        (directory / "tokens").mkdir(parents=True, exist_ok=True)
        (directory / "softhsm2.conf").write_text(
            f"directories.tokendir = {directory}/tokens\n"
            "objectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
            encoding="utf-8",
        )
        pins = {name: secrets.token_hex(8) for name in ("user.pin", "so.pin")}
        for name, pin in pins.items():
            path = directory / name
            path.touch(mode=0o600)
            path.write_text(pin, encoding="utf-8")
        hsm._initialise(pins["user.pin"], pins["so.pin"])
        return hsm

    @property
    def pin(self) -> str:
        """Reference to the user PIN."""
        return f"file:{self.directory / 'user.pin'}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to see this token."""
        return {"SOFTHSM2_CONF": str(self.directory / "softhsm2.conf")}

    def connection_options(self, *, evict_command: tuple[str, ...] = ()) -> dict[str, Any]:
        """Options of a ``pkcs11`` connection to this token."""
        return {
            "type": "pkcs11",
            "module": str(self.module),
            "token": self.label,
            "pin": self.pin,
            "so_pin": f"file:{self.directory / 'so.pin'}",
            "environment": self.environment,
            "evict_command": list(evict_command),
        }

    def generate_aes(self, label: str) -> None:
        """An AES-256 key-encryption key."""
        self._generate(label, "AES-256", "encrypt")

    def generate_rsa(self, label: str, *, bits: int = 2048) -> None:
        """An RSA key pair that encrypts data keys."""
        self._generate(label, f"RSA-{bits}", "encrypt")

    def generate_ec(self, label: str) -> None:
        """A P-256 signing key."""
        self._generate(label, "EC-P256", "sign")

    def _generate(self, label: str, kind: str, purpose: str) -> None:
        options = Pkcs11Options.read(self.label, self.connection_options())
        connection = Connection(self.label, options, login=log_in_with_pin)
        try:
            spec = {"kind": kind, "purpose": purpose}
            connection.call("generate", label=label, spec=spec, seconds=GENERATE_SECONDS)
        finally:
            connection.drop()

    def _initialise(self, pin: str, so_pin: str) -> None:
        """Initialise with placeholder PINs (they stand in argv), then change both to the random ones over a pipe."""
        placeholder = "00000000"
        command = ["softhsm2-util", "--init-token", "--free", "--label", self.label]
        subprocess.run(
            [*command, "--so-pin", placeholder, "--pin", placeholder],
            env={**os.environ, **self.environment},
            check=True,
            capture_output=True,
            timeout=30,
        )
        for officer, new in ((False, pin), (True, so_pin)):
            worker = Worker(self.environment)
            login = {"module": str(self.module), "token": self.label, "pin": placeholder, "officer": officer}
            try:
                worker.call("login", login, seconds=10)
                worker.call("change_pin", {"old": placeholder, "new": new}, seconds=10)
            finally:
                worker.end()


@dataclass(frozen=True)
class NetworkHsm:
    """The token of a SoftHsm served over a unix socket by ``p11-kit server``: one server process per client."""

    directory: Path
    hsm: SoftHsm

    @classmethod
    def start(cls, processes: Processes, directory: Path, hsm: SoftHsm) -> Self:
        """Start the server.  Raises LabError when p11-kit is not installed."""
        if shutil.which("p11-kit") is None:
            raise LabError("p11-kit is not installed.", hint=_INSTALL)
        directory.mkdir(parents=True, exist_ok=True)
        network = cls(directory, hsm)
        child = processes.start(
            f"p11-kit-{hsm.label}",
            [
                "p11-kit",
                "server",
                "-f",
                "-n",
                str(network.socket),
                "--provider",
                str(hsm.module),
                f"pkcs11:token={hsm.label}",
            ],
            environment=hsm.environment,
            ready=network._accepts,
        )
        note = {"pid": child.pid, "created": psutil.Process(child.pid).create_time()}
        (directory / "p11-kit.json").write_text(json.dumps(note), encoding="utf-8")
        return network

    @property
    def socket(self) -> Path:
        """Where clients connect."""
        return self.directory / "p11.sock"

    @property
    def environment(self) -> dict[str, str]:
        """What a client process needs to reach the server."""
        return {"P11_KIT_SERVER_ADDRESS": f"unix:path={self.socket}"}

    def connection_options(self) -> dict[str, Any]:
        """Options of a ``pkcs11`` connection through the network, with the command that cuts clients off."""
        evict = (sys.executable, "-I", "-S", evict_hsm_clients.__file__, str(self.directory))
        return {
            **self.hsm.connection_options(evict_command=evict),
            "module": str(_first(_CLIENTS)),
            "environment": self.environment,
        }

    def _accepts(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return self.socket.exists() and probe.connect_ex(str(self.socket)) == 0


def _first(places: tuple[str, ...]) -> Path:
    for place in places:
        if Path(place).exists():
            return Path(place)
    raise LabError(f"none of {', '.join(places)} exists.", hint=_INSTALL)
