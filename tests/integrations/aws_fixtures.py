"""One ministack per session, and the two identities that every AWS test needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from simulations.lab.aws_account import RECOVERY_POLICY, AwsAccount, LabUser, allow
from simulations.lab.ministack import MiniStack
from simulations.lab.moto import Moto
from simulations.lab.processes import Processes


def now() -> datetime:
    """The clock of the tests."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Account:
    """A lab account with a recovery identity and its connection options."""

    lab: AwsAccount
    recovery: LabUser
    options: dict[str, Any]


def prepared(lab: AwsAccount) -> Account:
    """The account with its recovery identity made."""
    recovery = lab.create_user("recovery", RECOVERY_POLICY)
    return Account(lab, recovery, lab.connection_options(recovery.credential, recovery.arn))


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """A running ministack; tests make users and keys of their own in it."""
    directory = tmp_path_factory.mktemp("aws")
    with Processes(directory) as processes:
        lab = MiniStack.start(processes, directory)
        yield prepared(lab)
        lab.close()


@pytest.fixture(scope="session")
def lying_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """A running moto, which acknowledges what it does not do."""
    directory = tmp_path_factory.mktemp("moto")
    with Processes(directory) as processes:
        lab = Moto.start(processes, directory)
        yield prepared(lab)
        lab.close()


__all__ = ["Account", "allow", "aws", "lying_aws", "now", "prepared"]
