"""A worker process that crashes, hangs or is cut off costs one call, never the responder."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.secrets import read_secret
from integrations.vendors.pkcs11_client import Connection, Pkcs11Options, Worker, log_in_with_pin, translated
from integrations.vendors.pkcs11_client import WorkerError as Answered
from integrations.vendors.pkcs11_frames import pack, unpack
from playbooks.errors import InvalidInput, NotFound, Refused, Unreachable
from simulations.lab.processes import Processes
from simulations.lab.softhsm import SoftHsm


@pytest.fixture(scope="module")
def hsm(lab_processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    """A token with one key."""
    made = SoftHsm.start(lab_processes, tmp_path_factory.mktemp("hsm"))
    made.generate_aes("kek")
    return made


@pytest.fixture
def connection(hsm: SoftHsm) -> Iterator[Connection]:
    """The token's connection."""
    options = Pkcs11Options.read("kek-hsm", hsm.connection_options())
    opened = Connection("kek-hsm", options, login=log_in_with_pin)
    yield opened
    opened.drop()


def worker_of(connection: Connection) -> Worker:
    assert connection._worker is not None
    return connection._worker


def test_a_crashed_worker_is_unreachable_once_and_then_replaced(connection: Connection) -> None:
    """A module that crashes its process ends one call; the next one has a new process."""
    connection.call("labels")
    first = worker_of(connection).pid
    os.kill(first, signal.SIGSEGV)
    with pytest.raises(Unreachable) as raised:
        connection.call("labels")
    assert raised.value.code == "CRASHED"
    assert connection.call("labels") == ["kek"]
    assert worker_of(connection).pid != first


def test_a_hung_worker_is_ended_and_then_replaced(connection: Connection) -> None:
    """A call into a module cannot be interrupted, so the process is ended."""
    connection.call("labels")
    first = worker_of(connection).pid
    os.kill(first, signal.SIGSTOP)
    with pytest.raises(Unreachable) as raised:
        connection.call("labels", seconds=0.2)
    assert raised.value.code == "TIMEOUT"
    assert not psutil.pid_exists(first) or psutil.Process(first).status() == psutil.STATUS_ZOMBIE
    assert connection.call("labels") == ["kek"]


def test_a_wrong_pin_is_refused_and_tried_once(hsm: SoftHsm, tmp_path: Path) -> None:
    """Hardware locks after a few wrong PINs: one call is one try, with no reconnect."""
    wrong = tmp_path / "wrong.pin"
    wrong.write_text("surely-wrong")
    options = Pkcs11Options.read("kek-hsm", {**hsm.connection_options(), "pin": f"file:{wrong}"})
    tries = 0

    def counted(connection: Connection, worker: Worker) -> None:
        nonlocal tries
        tries += 1
        log_in_with_pin(connection, worker)

    connection = Connection("kek-hsm", options, login=counted)
    with pytest.raises(Refused) as raised:
        connection.call("labels")
    assert (raised.value.code, tries) == ("CKR_PIN_INCORRECT", 1)
    assert "surely-wrong" not in f"{raised.value!r}{raised.value}{raised.value.__cause__!r}"


def test_a_closed_session_is_opened_again(connection: Connection) -> None:
    """A session handle that died is replaced without the caller seeing it."""
    connection.call("labels")
    first = worker_of(connection).pid
    real = worker_of(connection).call

    def dead_once(name: str, arguments: object, *, seconds: float) -> object:
        raise Answered("CKR_SESSION_HANDLE_INVALID", "SessionHandleInvalid")

    worker_of(connection).call = dead_once  # type: ignore[method-assign]
    assert connection.call("labels") == ["kek"]
    assert worker_of(connection).pid != first
    assert real is not None


def test_the_pin_is_in_neither_arguments_nor_environment(connection: Connection, hsm: SoftHsm) -> None:
    """Anybody on the machine may read a process's arguments."""
    connection.call("labels")
    process = psutil.Process(worker_of(connection).pid)
    shown = " ".join([*process.cmdline(), *process.environ().values()])
    assert read_secret(hsm.pin) not in shown


def test_a_missing_token_says_nothing_about_the_key(hsm: SoftHsm) -> None:
    """A token that is not there may come back: Unreachable, never Refused."""
    options = Pkcs11Options.read("other", {**hsm.connection_options(), "token": "other"})
    with pytest.raises(Unreachable):
        Connection("other", options, login=log_in_with_pin).call("labels")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("CKR_KEY_FUNCTION_NOT_PERMITTED", Refused),
        ("CKR_ACTION_PROHIBITED", Refused),
        ("CKR_PIN_LOCKED", Refused),
        ("NO_SUCH_OBJECT", NotFound),
        ("CKR_GENERAL_ERROR", Unreachable),
        ("CKR_DEVICE_MEMORY", Unreachable),
    ],
)
def test_codes_say_what_is_true(code: str, expected: type[Exception]) -> None:
    """Only a specific no is Refused; a failure without a reason says nothing about the key."""
    assert type(translated(Answered(code, ""), "pkcs11:token=t;object=o", "decrypt")) is expected


@given(
    st.dictionaries(
        st.text(max_size=4),
        st.one_of(st.binary(), st.lists(st.binary(), min_size=1), st.integers(), st.lists(st.text()), st.none()),
    )
)
def test_messages_carry_bytes_both_ways(message: dict[str, Any]) -> None:
    """Bytes, lists of bytes and plain values survive the pipe."""
    assert unpack(pack(message)[4:]) == message


@pytest.mark.parametrize("cut", [1, 9, 30])
def test_a_message_that_was_cut_off_is_not_read(cut: int) -> None:
    """A frame that ends early is an error, never a shorter message."""
    with pytest.raises(ValueError, match="a frame"):
        unpack(pack({"call": "wrap", "items": [b"one", b"two"]})[4:-cut])


def test_a_fresh_worker_has_no_login_to_inherit(connection: Connection, hsm: SoftHsm) -> None:
    """A copy made while another worker is logged in must log in itself."""
    connection.call("labels")
    fresh = Worker(hsm.environment)
    try:
        with pytest.raises(Answered):
            fresh.call("labels", {}, seconds=5)
        login = {"module": str(hsm.module), "token": "kek-hsm", "pin": "surely-wrong"}
        with pytest.raises(Answered) as raised:
            fresh.call("login", login, seconds=5)
        assert raised.value.code == "CKR_PIN_INCORRECT"
    finally:
        fresh.end()


def test_a_template_that_ended_is_started_again(connection: Connection) -> None:
    """Workers outlive the template they were copied from, and new ones can be made."""
    connection.call("labels")
    template = psutil.Process(worker_of(connection).pid).parent()
    assert template is not None
    template.kill()
    assert connection.call("labels") == ["kek"]
    connection.drop()
    assert connection.call("labels") == ["kek"]


SPEC = {"kind": "AES-256", "purpose": "encrypt"}


def logged_in(hsm: SoftHsm) -> Worker:
    worker = Worker(hsm.environment)
    login = {"module": str(hsm.module), "token": "kek-hsm", "pin": read_secret(hsm.pin)}
    worker.call("login", login, seconds=30)
    return worker


def test_a_key_that_was_staged_for_an_owner_who_died_is_not_left(connection: Connection, hsm: SoftHsm) -> None:
    """Dead before the answer, and dead between the two calls; a key that was adopted stays."""
    dead_before = logged_in(hsm)
    os.close(dead_before._answers)
    dead_before._send(pack({"call": "generate", "label": "a", "spec": SPEC, "staged": "a#1"}), time.monotonic() + 30)
    dead_between = logged_in(hsm)
    assert dead_between.call("generate", {"label": "b", "spec": SPEC, "staged": "b#1"}, seconds=30)
    os.close(dead_between._requests)
    adopted = logged_in(hsm)
    adopted.call("generate", {"label": "c", "spec": SPEC, "staged": "c#1"}, seconds=30)
    assert adopted.call("adopt", {"label": "c", "staged": "c#1"}, seconds=30)
    os.close(adopted._requests)
    for each in (dead_before, dead_between, adopted):
        assert select.select([each._watched], [], [], 30)[0]
    assert connection.call("labels") == ["c", "kek"]
    connection.call("destroy", label="c")


def test_what_an_earlier_try_staged_goes_although_the_label_is_taken(connection: Connection) -> None:
    """A try that was cut off between the new label and the sweep is finished by the next one."""
    connection.call("generate", label="d", spec=SPEC, staged="kek#left")
    assert connection.call("labels") == ["kek", "kek#left"]
    assert not connection.call("generate", label="kek", spec=SPEC, staged="kek#next")
    assert not connection.call("adopt", label="kek", staged="kek#next")
    assert connection.call("labels") == ["kek"]


def test_a_bad_option_names_connection_and_field() -> None:
    """A typing error in the settings is found at once, and no value is repeated."""
    with pytest.raises(InvalidInput, match="kek-hsm: pinn"):
        Pkcs11Options.read("kek-hsm", {"module": "/m.so", "pin": "env:PIN", "pinn": "1234"})
