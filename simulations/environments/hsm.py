"""A network HSM of the lab as its parties see it: the recovery identity, the service, and whoever has the PIN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulations.environments.desk import Desk
from simulations.lab.softhsm import NetworkHsm, SoftHsm


def start(desk: Desk, label: str) -> NetworkHsm:
    """A token of this label, served over a socket."""
    folder = desk.site.directory / "hsm"
    folder.mkdir(mode=0o700)
    hsm = SoftHsm.start(desk.site.processes, folder, label)
    return NetworkHsm.start(desk.site.processes, desk.site.directory / "net", hsm)


def recovery_options(desk: Desk, network: NetworkHsm) -> dict[str, Any]:
    """The connection of the recovery identity, with PIN files of its own."""
    options = network.connection_options()
    return {
        **options,
        "pin": desk.secret_copy(desk.response, "hsm.pin", options["pin"]),
        "so_pin": desk.secret_copy(desk.response, "hsm.so-pin", options["so_pin"]),
    }


def service_options(network: NetworkHsm, credential_file: Path) -> dict[str, Any]:
    """The connection of a service: its PIN file, no security officer, nobody's sessions to end."""
    left_out = ("so_pin", "evict_command")
    options = {name: value for name, value in network.connection_options().items() if name not in left_out}
    return {**options, "pin": f"file:{credential_file}"}
