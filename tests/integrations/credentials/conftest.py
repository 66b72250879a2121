"""What the tests of credentials share."""

from __future__ import annotations

import pytest

from integrations import canaries


@pytest.fixture(autouse=True)
def patient_canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The load must not decide whether a canary was minted; ``test_canary_sessions`` shows that no cut waits."""
    monkeypatch.setattr(canaries, "MINT_SECONDS", 60.0)
