"""The lab's HSM is private, keeps its PINs to itself, and its clients can be cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from integrations.secrets import read_secret
from integrations.vendors.pkcs11_client import Connection, Pkcs11Options, log_in_with_pin
from simulations.lab.evict_hsm_clients import evict
from simulations.lab.processes import Processes
from simulations.lab.softhsm import NetworkHsm, SoftHsm


def connect(options: dict[str, object]) -> Connection:
    return Connection("kek-hsm", Pkcs11Options.read("kek-hsm", options), login=log_in_with_pin)


def test_two_tokens_see_only_their_own_keys_and_pins(tmp_path: Path) -> None:
    """Each lab has its own token directory; the placeholder PIN of the set-up no longer works."""
    with Processes(tmp_path) as processes:
        one = SoftHsm.start(processes, tmp_path / "one")
        two = SoftHsm.start(processes, tmp_path / "two")
        one.generate_aes("kek")
        first, second = connect(one.connection_options()), connect(two.connection_options())
        assert (first.call("labels"), second.call("labels")) == (["kek"], [])
        assert read_secret(one.pin) != read_secret(two.pin)
        for name in ("user.pin", "so.pin"):
            assert (one.directory / name).stat().st_mode & 0o777 == 0o600
        with pytest.raises(Exception, match="CKR_PIN_INCORRECT"):
            first.fresh("00000000")
        first.drop()
        second.drop()


def test_the_network_serves_the_same_keys_until_it_is_evicted_or_stopped(tmp_path: Path) -> None:
    """A key made locally is used over the socket; eviction ends the session; the server outlives it."""
    with Processes(tmp_path) as processes:
        hsm = SoftHsm.start(processes, tmp_path / "hsm")
        hsm.generate_ec("signer")
        network = NetworkHsm.start(processes, tmp_path / "net", hsm)
        client = connect(network.connection_options())
        assert client.call("labels") == ["signer"]
        assert evict(network.directory) >= 1
        worker = client._worker
        assert worker is not None
        with pytest.raises(Exception, match="CKR_DEVICE"):
            worker.call("labels", {}, seconds=5)
        assert client.call("labels") == ["signer"]
        client.drop()
    with pytest.raises(ProcessLookupError):
        evict(network.directory)
