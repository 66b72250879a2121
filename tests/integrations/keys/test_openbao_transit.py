"""What is particular to OpenBao transit, on the real server."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from integrations.keys.openbao import OpenBaoTransit
from integrations.vendors.openbao_policies import may_grant, with_denial, without_denial
from playbooks.errors import BackendError, IntegrityFailure, InvalidInput, Refused
from playbooks.keys import Capability
from playbooks.ports import WrappedKey
from playbooks.receipts import Outcome
from playbooks.refs import KeyRef
from simulations.lab.openbao import OpenBaoServer
from simulations.lab.processes import free_port

NUMBERS = itertools.count()
SECRETS = [bytes([number]) * 32 for number in range(1, 4)]


def opened(server: OpenBaoServer, **changes: str) -> OpenBaoTransit:
    return OpenBaoTransit.open("vault", {**server.connection_options(), **changes}, clock=lambda: datetime.now(UTC))


@pytest.fixture
def transit(openbao: OpenBaoServer) -> Iterator[OpenBaoTransit]:
    backend = opened(openbao)
    yield backend
    backend.close()


@pytest.fixture
def key(openbao: OpenBaoServer) -> KeyRef:
    return KeyRef.parse(f"openbao:vault/{openbao.create_transit_key(f'own-{next(NUMBERS)}')}")


def versions(items: list[WrappedKey | Exception]) -> set[bytes]:
    return {item.blob.split(b":")[1] for item in items if isinstance(item, WrappedKey)}


@pytest.mark.parametrize("context", [{}, {"tenant": "a"}])
def test_rewrap_inside_a_key_moves_to_the_newest_version(
    transit: OpenBaoTransit, key: KeyRef, context: dict[str, str]
) -> None:
    """Also for items bound by associated data, which the server's own rewrap ignores."""
    wrapped = transit.wrap(key, SECRETS, contexts=[context] * 3)
    transit.rotate(key, marker="step-1")
    moved = transit.rewrap(wrapped, old=key, new=key)
    assert (versions(wrapped), versions(moved)) == ({b"v1"}, {b"v2"})
    assert transit.unwrap(key, moved) == SECRETS


def test_a_derived_key_binds_its_context(openbao: OpenBaoServer, transit: OpenBaoTransit) -> None:
    """The context goes into the derivation; rewrap keeps it; a wrong one does not unwrap."""
    name = f"derived-{next(NUMBERS)}"
    openbao.call("POST", f"transit/keys/{name}", {"type": "aes256-gcm96", "derived": True})
    key = KeyRef.parse(f"openbao:vault/transit/{name}")
    wrapped = transit.wrap(key, SECRETS, contexts=[{"tenant": "a"}] * 3)
    transit.rotate(key, marker="step-1")
    moved = transit.rewrap(wrapped, old=key, new=key)
    assert versions(moved) == {b"v2"}
    assert transit.unwrap(key, moved) == SECRETS
    elsewhere = [WrappedKey(item.blob, {"tenant": "b"}) for item in moved if isinstance(item, WrappedKey)]
    assert all(isinstance(answer, IntegrityFailure) for answer in transit.unwrap(key, elsewhere))
    new, _ = transit.create(like=key, marker="step-1")
    assert transit.unwrap(new, transit.rewrap(moved, old=key, new=new)) == SECRETS
    for operation in ("encrypt", "decrypt"):
        assert transit.probe(key, operation=operation, expected="worked").as_expected


def test_a_partial_rewrap_failure_behind_http_200_is_seen(transit: OpenBaoTransit, key: KeyRef) -> None:
    """The server says 200 with an error inside: the item fails, its neighbours move."""
    wrapped = transit.wrap(key, SECRETS, contexts=[{}] * 3)
    broken = [wrapped[0], WrappedKey(b"vault:v9:AAAA"), WrappedKey(b"\xff\xfe"), WrappedKey(b"junk"), wrapped[2]]
    moved = transit.rewrap(broken, old=key, new=key)
    assert [isinstance(item, WrappedKey) for item in moved] == [True, False, False, False, True]
    assert all(isinstance(item, IntegrityFailure) for item in moved[1:4])


@pytest.mark.parametrize("how", ["exportable", "allow_plaintext_backup"])
def test_a_key_that_can_leave_is_extractable_and_its_successor_is_not(
    openbao: OpenBaoServer, transit: OpenBaoTransit, how: str
) -> None:
    """Neither setting can be taken back, and either lets the material out."""
    name = f"leaky-{next(NUMBERS)}"
    openbao.call("POST", f"transit/keys/{name}", {"type": "aes256-gcm96", how: True})
    key = KeyRef.parse(f"openbao:vault/transit/{name}")
    assert transit.describe(key).extractable is True
    new, _ = transit.create(like=key, marker="step-1")
    assert transit.describe(new).extractable is False


def test_a_planted_successor_is_not_accepted(openbao: OpenBaoServer, transit: OpenBaoTransit, key: KeyRef) -> None:
    """A key of the right name that could be exported was made by somebody else."""
    openbao.create_transit_key(f"{key.path.partition('/')[2]}-step-1", exportable=True)
    with pytest.raises(IntegrityFailure, match="not like"):
        transit.create(like=key, marker="step-1")


def test_stopping_encryption_refuses_the_old_version(
    openbao: OpenBaoServer, transit: OpenBaoTransit, key: KeyRef
) -> None:
    """New ciphertext is of the new version only; the undo, also a repeated one, holds the old minimum."""
    first, second = transit.stop_encryption(key), transit.stop_encryption(key)
    assert first.undo == second.undo == {"min_encryption_version": 0}
    assert versions(transit.wrap(key, SECRETS, contexts=[{}] * 3)) == {b"v2"}
    config = openbao.call("GET", f"transit/keys/{key.path.partition('/')[2]}")["data"]
    assert config["min_encryption_version"] == 2
    transit.resume_encryption(key, undo=second.undo)
    assert transit.stop_encryption(key).changed, "after a false alarm a new stop stops again"


def test_after_a_stop_the_exposed_version_refuses_to_encrypt(transit: OpenBaoTransit, key: KeyRef) -> None:
    """The probe asks for the exposed version by number; decryption still works."""
    transit.stop_encryption(key)
    refused = transit.probe(key, operation="encrypt", expected="refused")
    assert (refused.outcome, refused.code) == (
        Outcome.REFUSED,
        "requested version for encryption is less than the minimum",
    )
    assert transit.probe(key, operation="decrypt", expected="worked").as_expected


def test_a_stop_that_was_interrupted_is_finished(openbao: OpenBaoServer, transit: OpenBaoTransit, key: KeyRef) -> None:
    """Killed between the rotation and the raise, the next try raises and does not rotate again."""
    name = key.path.partition("/")[2]
    openbao.create_transit_key(f"keyquell-stop.{name}.to2.from0")
    openbao.call("POST", f"transit/keys/{name}/rotate", {})
    receipt = transit.stop_encryption(key)
    assert (receipt.changed, transit.describe(key).version) == (True, "2")


def test_a_minimum_that_was_always_raised_is_no_stop(
    openbao: OpenBaoServer, transit: OpenBaoTransit, key: KeyRef
) -> None:
    """Teams that always keep the minimum at the newest version still get a new one."""
    name = key.path.partition("/")[2]
    openbao.call("POST", f"transit/keys/{name}/rotate", {})
    openbao.call("POST", f"transit/keys/{name}/config", {"min_encryption_version": 2})
    assert transit.stop_encryption(key).changed
    assert transit.describe(key).version == "3"


def test_notes_are_hidden_and_go_with_the_key(openbao: OpenBaoServer, transit: OpenBaoTransit, key: KeyRef) -> None:
    """What convergence remembers beside a key is no key of the inventory."""
    transit.rotate(key, marker="step-1")
    transit.stop_encryption(key)
    assert not [ref for ref in transit.list_keys() if "keyquell-" in ref.path]
    transit.destroy(key)
    name = key.path.partition("/")[2]
    assert not [each for each in openbao.call("LIST", "transit/keys")["data"]["keys"] if f".{name}." in each]


def test_raising_the_decryption_minimum_ends_old_ciphertext(transit: OpenBaoTransit, key: KeyRef) -> None:
    """Old data keys are refused with a specific code, new ones read; twice is once."""
    old = transit.wrap(key, SECRETS, contexts=[{}] * 3)
    transit.rotate(key, marker="step-1")
    new = transit.rewrap(old, old=key, new=key)
    assert [transit.raise_min_decryption(key, version=2).changed for _ in range(2)] == [True, False]
    assert all(isinstance(answer, Refused) for answer in transit.unwrap(key, old))
    assert transit.unwrap(key, new) == SECRETS


def test_a_disabled_key_can_be_destroyed(transit: OpenBaoTransit, key: KeyRef) -> None:
    """The last step needs no re-enabling, which would open the key again."""
    transit.disable(key)
    assert transit.destroy(key).changed


def test_a_weak_token_sees_fewer_capabilities_with_reasons(openbao: OpenBaoServer, key: KeyRef) -> None:
    """Capabilities come from what the server allows this token, not from a feature list."""
    name = key.path.partition("/")[2]
    openbao.write_policy(
        f"weak-{name}",
        {
            f"transit/keys/{name}": ["read"],
            f"transit/{'encrypt'}/{name}": ["update"],
            f"transit/decrypt/{name}": ["update"],
        },
    )
    _, token = openbao.create_token(f"weak-{name}")
    backend = opened(openbao, token=f"file:{token}")
    facts = backend.describe(key)
    assert facts.capabilities == {Capability.WRAP}
    assert f"transit/keys/{name}/soft-delete" in facts.unavailable[Capability.DISABLE]
    with pytest.raises(Refused, match="permission denied"):
        backend.disable(key)


def test_a_probe_without_an_answer_is_inconclusive(openbao: OpenBaoServer, key: KeyRef) -> None:
    """Silence is not a refusal."""
    backend = opened(openbao, url=f"http://127.0.0.1:{free_port()}")
    assert backend.probe(key, operation="decrypt", expected="refused").outcome is Outcome.INCONCLUSIVE
    with pytest.raises(InvalidInput, match="encrypt, decrypt or sign"):
        backend.probe(key, operation="export", expected="refused")


def test_a_server_gone_in_the_middle_leaves_an_error_in_each_place(openbao: OpenBaoServer, key: KeyRef) -> None:
    """A batch is never raised away."""
    backend = opened(openbao, url=f"http://127.0.0.1:{free_port()}")
    answers = backend.unwrap(key, [WrappedKey(b"vault:v1:AAAA")] * 3)
    assert [isinstance(answer, BackendError) and answer.retryable for answer in answers] == [True] * 3


HCL = '# shop\npath "transit/encrypt/orders" {\n  capabilities = ["update"]\n}\n'


@pytest.mark.parametrize("policy", [HCL, '{"path": {"transit/encrypt/*": {"capabilities": ["update"]}}}'])
def test_a_denial_is_added_once_and_taken_back(policy: str) -> None:
    """HCL and JSON policies come back as they were."""
    key = KeyRef.parse("openbao:vault/transit/orders")
    denied = with_denial(policy, key, ["transit/encrypt/orders"])
    assert "deny" in denied
    assert with_denial(denied, key, ["transit/encrypt/orders"]) == denied
    assert without_denial(denied, key, policy).strip() == policy.strip()


def test_a_denial_in_hcl_shuts_out_a_live_token(openbao: OpenBaoServer, transit: OpenBaoTransit, key: KeyRef) -> None:
    """The same exact path, allowed and denied in one HCL policy, is denied."""
    name = key.path.partition("/")[2]
    paths = (f"transit/decrypt/{name}", f"transit/+/{name}")
    rule = "\n".join(f'path "{path}" {{ capabilities = ["update"] }}' for path in paths)
    openbao.call("POST", f"sys/policies/acl/hcl-{name}", {"policy": rule})
    _, token = openbao.create_token(f"hcl-{name}")

    def outcome() -> Outcome:
        return transit.probe(key, operation="decrypt", expected="refused", identity=f"file:{token}").outcome

    before = outcome()
    receipt = transit.quarantine(key)
    during = outcome()
    transit.release(key, undo=receipt.undo)
    assert (before, during, outcome()) == (Outcome.WORKED, Outcome.REFUSED, Outcome.WORKED)


@pytest.mark.parametrize(
    ("path", "granted"),
    [
        ("transit/decrypt/orders", True),
        ("transit/decrypt/ord*", True),
        ("tran*", True),
        ("*", True),
        ("+/decrypt/orders", True),
        ("transit/decrypt/{{identity.entity.name}}", True),
        ("transit/decrypt/invoices", False),
        ("secret/*", False),
        ("transit/decrypt", False),
    ],
)
def test_a_policy_that_may_grant_is_recognised(path: str, granted: bool) -> None:
    """Errs towards yes; the harmless ones are left alone."""
    policy = f'path "{path}" {{ capabilities = ["update"] }}'
    assert may_grant(policy, ["transit/decrypt/orders"]) is granted
