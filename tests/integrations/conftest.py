"""Real servers for the adapters' tests, one of each per session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulations.lab.openbao import OpenBaoServer
from simulations.lab.processes import Processes

pytest.register_assert_rewrite("contract", "backend_case")


@pytest.fixture(scope="session")
def lab_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Processes that end with the session."""
    with Processes(tmp_path_factory.mktemp("lab")) as processes:
        yield processes


@pytest.fixture(scope="session")
def openbao(lab_processes: Processes) -> OpenBaoServer:
    """One OpenBao server; tests make keys and mounts of their own in it."""
    directory: Path = lab_processes.directory
    return OpenBaoServer.start(lab_processes, directory)
