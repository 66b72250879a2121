"""What the tests of several rooms share: an emulated AWS account with shops in it, and a Prefect server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_shop import Shop, open_shop, recovery_of

import flows
from simulations.lab.aws_account import AwsAccount, LabUser
from simulations.lab.ministack import MiniStack
from simulations.lab.processes import Processes

_KEEP = """
import os, sys
from pathlib import Path
from flows.prefect_server import prefect_server
with prefect_server(Path(os.environ["KEYQUELL_HOME"])):
    sys.stdin.read()
"""


@pytest.fixture(scope="session")
def shop_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AwsAccount, LabUser]]:
    """A running account and its recovery identity."""
    directory = tmp_path_factory.mktemp("account")
    with Processes(directory) as processes:
        account = MiniStack.start(processes, directory)
        yield account, recovery_of(account)
        account.close()


@pytest.fixture
def shop(shop_account: tuple[AwsAccount, LabUser], tmp_path: Path) -> Shop:
    """A shop that nothing has happened to."""
    account, recovery = shop_account
    return open_shop(account, recovery, tmp_path / "shop", tmp_path.name.replace("_", "-")[-40:])


@pytest.fixture(scope="session")
def prefect_home() -> Iterator[Path]:
    """A home whose Prefect server one process keeps up for all tests, because it takes long to start."""
    home = Path(tempfile.mkdtemp(prefix="kq-home-"))
    home.chmod(0o755)
    environment = {**os.environ, "KEYQUELL_HOME": str(home), "PYTHONPATH": str(Path(flows.__file__).parents[1])}
    keeper = subprocess.Popen([sys.executable, "-c", _KEEP], env=environment, stdin=subprocess.PIPE)
    try:
        yield home
    finally:
        keeper.communicate(timeout=60)
        shutil.rmtree(home, ignore_errors=True)
