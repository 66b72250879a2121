"""OpenBao transit keeps the contract of every key backend."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from backend_case import BackendCase
from contract import KeyBackendContract

from integrations.keys.openbao import OpenBaoTransit
from playbooks.keys import Capability
from playbooks.refs import KeyRef
from simulations.lab.openbao import OpenBaoServer
from simulations.lab.processes import free_port

NUMBERS = itertools.count()
SUPPORTS = frozenset(Capability) - {
    Capability.SIGN,
    Capability.SCHEDULE_DELETION,
    Capability.REVOKE_GRANTS,
    Capability.READ_USAGE,
}


def now() -> datetime:
    return datetime.now(UTC)


class TestOpenBaoTransit(KeyBackendContract):
    """The suite over a real OpenBao."""

    @pytest.fixture
    def case(self, openbao: OpenBaoServer) -> Iterator[BackendCase]:
        """A fresh key, a consumer's token that may use it, and a signing key."""
        name = f"orders-{next(NUMBERS)}"
        openbao.create_transit_key(name)
        openbao.create_transit_key(f"{name}-signing", kind="ecdsa-p256")
        policy = f"shop-{name}"
        openbao.write_policy(policy, {f"transit/{verb}/{name}": ["update"] for verb in ("encrypt", "decrypt")})
        _, token_file = openbao.create_token(policy, name="shop")
        options = openbao.connection_options()

        def opened(**changes: str) -> OpenBaoTransit:
            return OpenBaoTransit.open("vault", {**options, **changes}, clock=now)

        backend = opened()
        yield BackendCase(
            name="openbao",
            backend=backend,
            key=KeyRef.parse(f"openbao:vault/transit/{name}"),
            missing_key=KeyRef.parse(f"openbao:vault/transit/{name}-missing"),
            supports=SUPPORTS,
            open_again=opened,
            open_unreachable=lambda: opened(url=f"http://127.0.0.1:{free_port()}"),
            disabled_codes=("refusing to use soft-deleted key",),
            quarantined_codes=("permission denied",),
            identity=f"file:{token_file}",
            sign_key=KeyRef.parse(f"openbao:vault/transit/{name}-signing"),
            secrets=(openbao.root_token_file.read_text(), token_file.read_text()),
        )
        backend.close()
