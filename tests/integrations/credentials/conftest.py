"""What the tests of credentials share."""

from __future__ import annotations

import pytest

from integrations import canaries


@pytest.fixture(autouse=True)
def patient_canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not decide whether a canary was minted in time; ``test_canary_sessions`` shows that no cut waits."""
    monkeypatch.setattr(canaries, "MINT_SECONDS", 60.0)
