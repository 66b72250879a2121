"""What the tests of commands share: a quiet place, and a shop whose settings every command finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_shop import Shop


@pytest.fixture
def a_quiet_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of this machine, a home of the test's own, and a wide terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEYQUELL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("KEYQUELL_CONFIG", raising=False)
    monkeypatch.setattr("flows.settings.DEFAULT_PLACES", (Path("keyquell.yaml"),))


@pytest.fixture
def at_work(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop whose settings every command finds."""
    monkeypatch.setenv("KEYQUELL_CONFIG", str(shop.config))
    return shop
