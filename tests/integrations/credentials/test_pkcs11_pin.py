"""A user PIN is cut, delivered and probed, and no crash in between loses it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integrations.credentials.pkcs11_pin import Pkcs11Pin
from integrations.secrets import read_secret, write_secret
from integrations.vendors.pkcs11_client import Connection, Pkcs11Options, WorkerError, log_in_with_pin
from playbooks.errors import Refused, Unavailable
from playbooks.receipts import Outcome
from playbooks.refs import CredentialRef
from simulations.lab.processes import Processes
from simulations.lab.softhsm import NetworkHsm, SoftHsm

PIN = CredentialRef.parse("pkcs11-pin:kek-hsm/user")


@pytest.fixture
def hsm(lab_processes: Processes, tmp_path: Path) -> SoftHsm:
    """A token of its own for every test: its PIN changes."""
    return SoftHsm.start(lab_processes, tmp_path / "hsm")


@pytest.fixture
def pin(hsm: SoftHsm) -> Iterator[Pkcs11Pin]:
    """The credential adapter of the token."""
    opened = Pkcs11Pin.open("kek-hsm", hsm.connection_options(), clock=lambda: datetime.now(UTC))
    yield opened
    opened.close()


def logs_in(hsm: SoftHsm, value: str) -> bool:
    options = Pkcs11Options.read("kek-hsm", hsm.connection_options())
    try:
        Connection("kek-hsm", options, login=log_in_with_pin).fresh(value)
    except WorkerError as error:
        if error.code == "CKR_PIN_INCORRECT":
            return False
        raise
    return True


def test_a_cut_pin_is_refused_and_cutting_again_changes_nothing(pin: Pkcs11Pin, hsm: SoftHsm) -> None:
    """The old PIN is refused by its specific code, the recovery identity keeps working."""
    leaked = read_secret(hsm.pin)
    assert pin.probe_credential(PIN, secret=hsm.pin, expected="worked").as_expected
    assert [pin.cut(PIN).changed, pin.cut(PIN).changed] == [True, False]
    result = pin.probe_credential(PIN, secret=f"{hsm.pin}.previous", expected="refused")
    assert (result.outcome, result.code) == (Outcome.REFUSED, "CKR_PIN_INCORRECT")
    assert not logs_in(hsm, leaked)
    assert logs_in(hsm, read_secret(hsm.pin))
    for name in ("user.pin", "user.pin.previous", "user.pin.cut"):
        assert (hsm.directory / name).stat().st_mode & 0o777 == 0o600


def test_a_change_that_another_process_wrote_over_is_made_again(pin: Pkcs11Pin, hsm: SoftHsm) -> None:
    """The token's file is written whole by whoever logs in; the old PIN must not come back that way."""
    leaked = read_secret(hsm.pin)
    before = {path: path.read_bytes() for path in (hsm.directory / "tokens").rglob("token.object")}
    assert before
    pin.cut(PIN)
    for path, content in before.items():
        path.write_bytes(content)
    assert logs_in(hsm, leaked)
    pin.cut(PIN)
    assert not logs_in(hsm, leaked)
    assert logs_in(hsm, read_secret(hsm.pin))


def test_the_new_pin_is_delivered_once(pin: Pkcs11Pin, hsm: SoftHsm, tmp_path: Path) -> None:
    """The consumer's file holds a PIN that works; delivering again changes nothing; no receipt holds it."""
    delivered = f"file:{tmp_path / 'consumer.pin'}"
    pin.cut(PIN)
    same, first = pin.issue(like=PIN, marker="step-1", deliver_to=delivered)
    _, second = pin.issue(like=PIN, marker="step-1", deliver_to=delivered)
    assert (same, first.changed, second.changed) == (PIN, True, False)
    assert logs_in(hsm, read_secret(delivered))
    assert read_secret(delivered) not in first.model_dump_json()


def test_a_pin_that_was_not_cut_is_not_delivered(pin: Pkcs11Pin, tmp_path: Path) -> None:
    """Delivering the leaked PIN again would undo the response."""
    with pytest.raises(Unavailable):
        pin.issue(like=PIN, marker="step-1", deliver_to=f"file:{tmp_path / 'consumer.pin'}")


def test_a_cut_pin_is_not_restored(pin: Pkcs11Pin) -> None:
    """A PIN that was out stays out."""
    with pytest.raises(Unavailable):
        pin.restore(PIN, undo={})


def test_sessions_cannot_be_revoked_without_a_command(pin: Pkcs11Pin) -> None:
    """PKCS#11 has no way to end another client's session, and the adapter says so."""
    with pytest.raises(Unavailable, match="logged-in clients stay"):
        pin.revoke_sessions(PIN)


@pytest.mark.parametrize("killed", ["before the token changed", "after the token changed", "half in place"])
def test_a_crash_loses_no_pin(hsm: SoftHsm, killed: str) -> None:
    """Whatever the moment, the next process logs in, and a cut after it leaves the leaked PIN refused."""
    leaked, fresh = read_secret(hsm.pin), "fresh-pin-of-the-change"
    write_secret(f"{hsm.pin}.pending", fresh)
    if killed != "before the token changed":
        options = Pkcs11Options.read("kek-hsm", hsm.connection_options())
        connection = Connection("kek-hsm", options, login=log_in_with_pin)
        connection.call("change_pin", old=leaked, new=fresh)
        connection.drop()
    if killed == "half in place":
        write_secret(f"{hsm.pin}.previous", leaked)
        write_secret(hsm.pin, fresh)
    again = Pkcs11Pin.open("kek-hsm", hsm.connection_options(), clock=lambda: datetime.now(UTC))
    again.cut(PIN)
    again.close()
    assert read_secret(f"{hsm.pin}.previous") == leaked
    assert not logs_in(hsm, leaked)
    assert logs_in(hsm, read_secret(hsm.pin))
    assert not (hsm.directory / "user.pin.pending").exists()


def test_a_pin_changed_by_somebody_else_is_refused(pin: Pkcs11Pin, hsm: SoftHsm) -> None:
    """Without a pending PIN there is one try and a Refused, not a guess."""
    write_secret(hsm.pin, "somebody-elses")
    with pytest.raises(Refused):
        pin.cut(PIN)


def test_a_logged_in_client_is_cut_off_and_cannot_come_back(
    hsm: SoftHsm, lab_processes: Processes, tmp_path: Path
) -> None:
    """A client keeps its session through the PIN change; eviction ends it, and the old PIN does not log in again."""
    hsm.generate_rsa("kek")
    network = NetworkHsm.start(lab_processes, tmp_path / "net", hsm)
    options = network.connection_options()
    consumer = f"file:{tmp_path / 'consumer.pin'}"
    write_secret(consumer, read_secret(hsm.pin))
    attacker = Connection("kek-hsm", Pkcs11Options.read("kek-hsm", {**options, "pin": consumer}), login=log_in_with_pin)
    attacker.call("use", label="kek", operation="decrypt")
    pin = Pkcs11Pin.open("kek-hsm", options, clock=lambda: datetime.now(UTC))
    pin.cut(PIN)
    attacker.call("use", label="kek", operation="decrypt")
    pin.revoke_sessions(PIN)
    with pytest.raises(Refused) as raised:
        attacker.call("use", label="kek", operation="decrypt")
    assert raised.value.code == "CKR_PIN_INCORRECT"
    pin.issue(like=PIN, marker="step-1", deliver_to=consumer)
    attacker.call("use", label="kek", operation="decrypt")
    attacker.drop()
    pin.close()
    lab_processes.stop("p11-kit-kek-hsm")


def test_a_client_that_was_logged_in_before_the_cut_is_shown_to_be_cut_off(
    hsm: SoftHsm, lab_processes: Processes, tmp_path: Path
) -> None:
    """Its session lives through the PIN change, ends with the eviction, and its PIN is refused; elsewhere we say so."""
    network = NetworkHsm.start(lab_processes, tmp_path / "net", hsm)
    leaked = f"file:{tmp_path / 'leaked.pin'}"
    write_secret(leaked, read_secret(hsm.pin))
    pin, other = (
        Pkcs11Pin.open("kek-hsm", network.connection_options(), clock=lambda: datetime.now(UTC)) for _ in range(2)
    )
    pin.cut(PIN, secret=leaked)
    pin.cut(PIN, secret=leaked)
    assert pin.probe_sessions(PIN, secret=leaked, expected="refused").outcome is Outcome.WORKED
    pin.revoke_sessions(PIN, secret=leaked)
    for _ in range(3):
        result = pin.probe_sessions(PIN, secret=leaked, expected="refused")
        assert (result.outcome, result.code) == (Outcome.REFUSED, "CKR_PIN_INCORRECT")
        assert "the open session ended" in result.detail
    other.cut(PIN, secret=leaked)
    with pytest.raises(Unavailable, match="no client of this process"):
        other.probe_sessions(PIN, secret=leaked, expected="refused")
    lab_processes.stop("p11-kit-kek-hsm")
    assert pin.probe_sessions(PIN, secret=leaked, expected="refused").outcome is Outcome.INCONCLUSIVE
    pin.close()
    other.close()
