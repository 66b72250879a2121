"""Discovery: what a backend holds against what the inventory lists."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from small_shop import Shop

from flows.discover import discover_keys
from flows.wiring import Wiring
from playbooks.errors import BackendError, InvalidInput
from simulations.lab.processes import Processes
from simulations.lab.softhsm import SoftHsm


def test_a_key_that_nobody_wrote_down_is_found_beside_the_listed_one(shop: Shop) -> None:
    """On a real backend, over every connection that holds keys; folders and channels are passed over."""
    stray = f"aws-kms:cloud/{shop.account.create_key('stray')}"
    with shop.wiring() as wiring:
        found = {str(each.key): each.listed for each in discover_keys(wiring)}
        assert found[shop.key] is True
        assert found[stray] is False
        assert discover_keys(wiring, "docs") == []


def test_the_keys_of_an_hsm_are_found_by_their_labels(tmp_path: Path) -> None:
    """The token's label is the connection's name in the references."""
    with Processes(tmp_path) as processes:
        hsm = SoftHsm.start(processes, tmp_path / "hsm", "kek-hsm")
        hsm.generate_aes("kek")
        hsm.generate_ec("signer")
        config = tmp_path / "keyquell.yaml"
        settings = {"state": "s", "estate": "e.yaml", "connections": {"kek-hsm": hsm.connection_options()}}
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        (tmp_path / "e.yaml").write_text("keys:\n  - ref: pkcs11:token=kek-hsm;object=kek\n", encoding="utf-8")
        with Wiring.from_file(config) as wiring:
            found = {str(each.key): each.listed for each in discover_keys(wiring, "kek-hsm")}
    assert found == {"pkcs11:token=kek-hsm;object=kek": True, "pkcs11:token=kek-hsm;object=signer": False}


def test_an_unknown_connection_is_told_with_the_known_ones(shop: Shop) -> None:
    """A typing error is not an empty result."""
    with shop.wiring() as wiring, pytest.raises(InvalidInput, match="'clowd'") as refused:
        discover_keys(wiring, "clowd")
    assert "cloud, docs, services" in refused.value.hint


def test_a_backend_that_does_not_answer_is_an_error_not_an_empty_list(shop: Shop) -> None:
    """Otherwise an outage would read as "everything is listed"."""
    text = shop.config.read_text(encoding="utf-8")
    shop.config.write_text(text.replace(shop.account.endpoint_url, "http://127.0.0.1:9"), encoding="utf-8")
    with shop.wiring() as wiring, pytest.raises(BackendError):
        discover_keys(wiring, "cloud")
