"""What the tests of several rooms share: one emulated AWS account, and shops of their own in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_shop import Shop, open_shop, recovery_of

from simulations.lab.aws_account import AwsAccount, LabUser
from simulations.lab.ministack import MiniStack
from simulations.lab.processes import Processes


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
