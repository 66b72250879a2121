"""AWS KMS, IAM, STS and CloudTrail on this machine: ministack, with our launcher around it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Self

import simulations
from simulations.lab.aws_account import AwsAccount
from simulations.lab.processes import Processes, accepts_tcp, free_port


class MiniStack(AwsAccount):
    """A running ministack that enforces policies, credentials and key states (``AUTH=true``)."""

    @classmethod
    def start(cls, processes: Processes, directory: Path) -> Self:
        """Start the server on a free loopback port; secrets of users go to ``directory``.

        Raises LabError when it does not come up.
        """
        port = free_port()
        root = str(Path(simulations.__file__).parents[1])
        processes.start(
            "ministack",
            [sys.executable, "-m", "simulations.lab.ministack_launcher"],
            environment={
                "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")])),
                "BIND_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(port),
                "AUTH": "true",
                "CLOUDTRAIL_RECORDING": "1",
                "CLOUDTRAIL_MAX_EVENTS": "200000",
                "LOG_LEVEL": "WARNING",
                "TMPDIR": str(directory),
            },
            ready=accepts_tcp(port),
        )
        return cls(f"http://127.0.0.1:{port}", directory)
