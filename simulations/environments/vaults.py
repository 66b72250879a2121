"""An OpenBao server of the lab, and its recovery identity."""

from __future__ import annotations

from simulations.environments import Site
from simulations.environments.desk import Desk
from simulations.lab.openbao import OpenBaoServer

_EVERYTHING = ["create", "read", "update", "patch", "delete", "list", "sudo"]


def start(site: Site) -> OpenBaoServer:
    """A server in a folder of its own, empty."""
    folder = site.directory / "vault"
    folder.mkdir(mode=0o700)
    return OpenBaoServer.start(site.processes, folder)


def recovery_options(desk: Desk, server: OpenBaoServer) -> dict[str, str]:
    """The connection of the recovery identity, which may do everything, with a token file of its own."""
    server.write_policy("recovery", {"*": _EVERYTHING})
    _, token = server.create_token("recovery", name="recovery")
    return {
        "type": "openbao",
        "url": server.url,
        "token": desk.secret_copy(desk.response, "recovery.token", f"file:{token}"),
    }
