"""What the tests of flows share: the wiring of a shop; and for ``serve`` one pager, and labs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.pagerduty_server import FakePagerDuty
from serve_lab import ServeLab, serve_lab
from small_shop import Shop

from flows.wiring import Wiring
from simulations.lab.aws_account import AwsAccount, LabUser


@pytest.fixture
def wiring(shop: Shop) -> Iterator[Wiring]:
    """The composition root of a shop that nothing has happened to."""
    with shop.wiring() as opened:
        yield opened


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
