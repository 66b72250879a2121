"""Real servers for the tests of adversary and services, one of each per session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulations.lab.ministack import MiniStack
from simulations.lab.openbao import OpenBaoServer
from simulations.lab.postgres import PostgresServer
from simulations.lab.processes import Processes
from simulations.lab.softhsm import NetworkHsm, SoftHsm


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Processes that end with the session."""
    with Processes(tmp_path_factory.mktemp("lab")) as processes:
        yield processes


@pytest.fixture(scope="session")
def cloud(servers: Processes) -> MiniStack:
    """An AWS account with KMS, IAM and STS."""
    directory = servers.directory / "cloud"
    directory.mkdir()
    return MiniStack.start(servers, directory)


@pytest.fixture(scope="session")
def vault(servers: Processes) -> OpenBaoServer:
    """An OpenBao server."""
    directory = servers.directory / "vault"
    directory.mkdir()
    return OpenBaoServer.start(servers, directory)


@pytest.fixture(scope="session")
def shop(servers: Processes) -> PostgresServer:
    """A PostgreSQL server."""
    return PostgresServer.start(servers, servers.directory / "shop")


@pytest.fixture
def network_hsm(servers: Processes, request: pytest.FixtureRequest) -> Iterator[NetworkHsm]:
    """A network HSM of this test's own, since tests change its PIN."""
    label = f"hsm-{abs(hash(request.node.name)) % 10**6}"
    directory = servers.directory / label
    directory.mkdir()
    hsm = SoftHsm.start(servers, directory, label)
    network = NetworkHsm.start(servers, directory / "net", hsm)
    yield network
    servers.stop(f"p11-kit-{label}")
