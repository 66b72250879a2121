"""What the tests of flows share: the wiring of a shop; and for ``serve`` one Prefect server, one pager, and labs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.pagerduty_server import FakePagerDuty
from serve_lab import ServeLab, serve_lab
from small_shop import Shop

import flows
from flows.wiring import Wiring
from simulations.lab.aws_account import AwsAccount, LabUser

_KEEP = """
import os, sys
from pathlib import Path
from flows.prefect_server import prefect_server
with prefect_server(Path(os.environ["KEYQUELL_HOME"])):
    sys.stdin.read()
"""


@pytest.fixture
def wiring(shop: Shop) -> Iterator[Wiring]:
    """The composition root of a shop that nothing has happened to."""
    with shop.wiring() as opened:
        yield opened


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


@pytest.fixture(scope="session")
def far_pager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakePagerDuty]:
    """The pager; each lab has an empty account there."""
    with FakePagerDuty(tmp_path_factory.mktemp("pagerduty")) as fake:
        yield fake


@pytest.fixture
def lab(
    shop_account: tuple[AwsAccount, LabUser], far_pager: FakePagerDuty, prefect_home: Path, tmp_path: Path
) -> Iterator[ServeLab]:
    """A shop with everything around it; nothing is served yet."""
    account, recovery = shop_account
    name = tmp_path.name.replace("_", "-")[-24:]
    with serve_lab(account, recovery, far_pager, name, home=prefect_home) as made:
        yield made
