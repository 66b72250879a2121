"""PKCS#11 tokens keep the contract of every key backend: SoftHSM in process, and the same over p11-kit's network."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from backend_case import BackendCase, verify_signature
from contract import KeyBackendContract
from cryptography import x509

from integrations.keys.pkcs11 import Pkcs11Token
from playbooks.errors import Unavailable
from playbooks.keys import Capability
from playbooks.receipts import Outcome
from playbooks.refs import KeyRef
from simulations.lab.processes import Processes
from simulations.lab.softhsm import NetworkHsm, SoftHsm

NUMBERS = itertools.count()
SUPPORTS = frozenset(
    {
        Capability.DISABLE,
        Capability.STOP_ENCRYPTION,
        Capability.CREATE,
        Capability.WRAP,
        Capability.REWRAP,
        Capability.DESTROY,
    }
)


def now() -> datetime:
    return datetime.now(UTC)


def key(label: str) -> KeyRef:
    return KeyRef("pkcs11", "kek-hsm", label)


@pytest.fixture(scope="module")
def hsm(lab_processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    """One token for the module; every test makes keys of its own."""
    return SoftHsm.start(lab_processes, tmp_path_factory.mktemp("hsm"))


@pytest.fixture(scope="module")
def network(lab_processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> NetworkHsm:
    """A second token, served over a socket."""
    hsm = SoftHsm.start(lab_processes, tmp_path_factory.mktemp("network-hsm"))
    return NetworkHsm.start(lab_processes, tmp_path_factory.mktemp("p11-kit"), hsm)


class TestSoftHsm(KeyBackendContract):
    """AES keys, wrapping by AES-GCM."""

    @pytest.fixture
    def case(self, hsm: SoftHsm) -> Iterator[BackendCase]:
        """A fresh AES key and a signing key."""
        name = f"kek-{next(NUMBERS)}"
        hsm.generate_aes(name)
        hsm.generate_ec(f"{name}-signing")

        def opened() -> Pkcs11Token:
            return Pkcs11Token.open("kek-hsm", hsm.connection_options(), clock=now)

        backend = opened()
        yield BackendCase(
            name="softhsm",
            dated=False,
            backend=backend,
            key=key(name),
            missing_key=key("nowhere"),
            supports=SUPPORTS,
            open_again=opened,
            disabled_codes=("CKR_KEY_FUNCTION_NOT_PERMITTED",),
            sign_key=key(f"{name}-signing"),
            secrets=((hsm.directory / "user.pin").read_text(),),
        )
        backend.close()


class TestNetworkHsm(KeyBackendContract):
    """RSA keys over p11-kit's client, which passes no AES-GCM; here other clients can be cut off."""

    @pytest.fixture
    def case(self, network: NetworkHsm, tmp_path: Path) -> Iterator[BackendCase]:
        """A fresh RSA key, and a consumer that has its own copy of the PIN."""
        name = f"rsa-{next(NUMBERS)}"
        network.hsm.generate_rsa(name)
        network.hsm.generate_ec(f"{name}-signing")
        consumer = tmp_path / "consumer.pin"
        consumer.write_text((network.hsm.directory / "user.pin").read_text())
        options = network.connection_options()

        def opened(**environment: str) -> Pkcs11Token:
            changed = {**options, "environment": environment} if environment else options
            return Pkcs11Token.open("kek-hsm", changed, clock=now)

        backend = opened()
        yield BackendCase(
            name="p11-kit",
            dated=False,
            backend=backend,
            key=key(name),
            missing_key=key("nowhere"),
            supports=SUPPORTS | {Capability.QUARANTINE},
            open_again=opened,
            open_unreachable=lambda: opened(P11_KIT_SERVER_ADDRESS=f"unix:path={tmp_path}/nobody"),
            disabled_codes=("CKR_KEY_FUNCTION_NOT_PERMITTED",),
            quarantined_codes=("CKR_PIN_INCORRECT",),
            identity=f"file:{consumer}",
            sign_key=key(f"{name}-signing"),
            secrets=(consumer.read_text(),),
        )
        backend.close()


@pytest.fixture
def token(hsm: SoftHsm) -> Iterator[Pkcs11Token]:
    """The SoftHSM token."""
    opened = Pkcs11Token.open("kek-hsm", hsm.connection_options(), clock=now)
    yield opened
    opened.close()


GENERATE_WITH_START_DATE = """
import datetime, sys, pkcs11
from pkcs11 import Attribute
[module, pin_file, label] = sys.argv[1:]
token = pkcs11.lib(module).get_token(token_label="kek-hsm")
with token.open(rw=True, user_pin=open(pin_file).read()) as session:
    template = {Attribute.PRIVATE: False, Attribute.START_DATE: datetime.date(2026, 2, 3)}
    session.generate_key(pkcs11.KeyType.AES, 256, label=label, store=True, template=template)
"""


def test_a_key_with_a_start_date_says_since_when_it_protects(token: Pkcs11Token, hsm: SoftHsm) -> None:
    """As somebody's own tool may have set it; midnight UTC, as the attribute is a day."""
    name = f"dated-{next(NUMBERS)}"
    pin_file = hsm.directory / "user.pin"
    command = [sys.executable, "-c", GENERATE_WITH_START_DATE, str(hsm.module), str(pin_file), name]
    subprocess.run(command, env={**os.environ, **hsm.environment}, check=True)
    assert token.describe(key(name)).protecting_since == datetime(2026, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_request_is_signed_inside_the_token(token: Pkcs11Token, hsm: SoftHsm, kind: str) -> None:
    """The CSR carries the token's public key and a signature that verifies under it."""
    name = f"csr-{next(NUMBERS)}"
    if kind == "ec":
        hsm.generate_ec(name)
    else:
        hsm._generate(name, "RSA-2048", "sign")
    request = x509.load_pem_x509_csr(token.csr_pem(key(name), "CN=orders signer,O=Example").encode())
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=orders signer,O=Example"
    verify_signature(token.public_key(key(name)), token.sign(key(name), b"message"), b"message")


def test_a_disabled_signing_key_is_refused_and_enabled_again(token: Pkcs11Token, hsm: SoftHsm) -> None:
    """Containment of a signing key is proven by a refused signature with the specific code."""
    name = f"signer-{next(NUMBERS)}"
    hsm.generate_ec(name)
    undo = token.disable(key(name)).undo
    refused = token.probe(key(name), operation="sign", expected="refused")
    assert (refused.outcome, refused.code) == (Outcome.REFUSED, "CKR_KEY_FUNCTION_NOT_PERMITTED")
    assert token.describe(key(name)).purpose == "sign"
    token.enable(key(name), undo=undo)
    assert token.probe(key(name), operation="sign", expected="worked").as_expected


def test_a_quarantine_without_evict_command_is_unavailable(token: Pkcs11Token, hsm: SoftHsm) -> None:
    """A PIN change alone leaves logged-in clients in, so it is not called a quarantine."""
    name = f"kek-{next(NUMBERS)}"
    hsm.generate_aes(name)
    assert token.describe(key(name)).unavailable[Capability.QUARANTINE] == "logged-in clients stay"
    with pytest.raises(Unavailable):
        token.quarantine(key(name))


def test_a_wrong_identity_is_refused_by_its_pin(token: Pkcs11Token, hsm: SoftHsm, tmp_path: Path) -> None:
    """A probe with a PIN that is not the token's shows the PIN's own code."""
    name = f"kek-{next(NUMBERS)}"
    hsm.generate_aes(name)
    wrong = tmp_path / "wrong.pin"
    wrong.write_text("not-the-pin")
    result = token.probe(key(name), operation="decrypt", expected="refused", identity=f"file:{wrong}")
    assert (result.outcome, result.code) == (Outcome.REFUSED, "CKR_PIN_INCORRECT")


def test_the_old_usage_is_kept_until_it_is_set_again(token: Pkcs11Token, hsm: SoftHsm) -> None:
    """It lies beside the PIN for its owner only, serves an undo without a receipt, and goes with the undo."""
    name = f"kek-{next(NUMBERS)}"
    hsm.generate_aes(name)
    before = token._call(key(name), "facts", label=name)["usage"]
    token.disable(key(name))
    kept = max(hsm.directory.glob("user.pin.disable.*"), key=lambda path: path.stat().st_mtime_ns)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert token.enable(key(name), undo={}).changed
    assert token._call(key(name), "facts", label=name)["usage"] == before
    assert not kept.exists()
