"""The lying backend: moto acknowledges DisableKey and goes on decrypting, and never rejects a cut access key."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Self

from simulations.lab.aws_account import AwsAccount
from simulations.lab.processes import Processes, accepts_tcp, free_port


class Moto(AwsAccount):
    """A running ``moto_server``: a response that calls this account contained is broken.

    moto 5.2 has no CloudTrail LookupEvents, so a drill on it detects by other means.
    """

    @classmethod
    def start(cls, processes: Processes, directory: Path) -> Self:
        """Start the server on a free loopback port; raises LabError when it does not come up."""
        port = free_port()
        processes.start(
            "moto",
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            environment={"TMPDIR": str(directory)},
            ready=accepts_tcp(port),
        )
        return cls(f"http://127.0.0.1:{port}", directory)
