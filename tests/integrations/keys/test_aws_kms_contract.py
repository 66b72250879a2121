"""AWS KMS keeps the contract of every key backend, and what is particular to it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from aws_fixtures import Account, allow, aws, lying_aws, now
from backend_case import CONTEXT, DATA_KEYS, BackendCase
from contract import KeyBackendContract

from integrations.keys.aws_kms import AwsKms
from playbooks.errors import IntegrityFailure, InvalidInput, Refused
from playbooks.keys import Capability, KeyState
from playbooks.receipts import Outcome
from playbooks.refs import KeyRef
from simulations.lab.processes import free_port

__all__ = ["aws", "lying_aws"]

NUMBERS = itertools.count()
USE = ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:Sign")


def opened(account: Account, **changes: Any) -> AwsKms:
    return AwsKms.open("prod", {**account.options, **changes}, clock=now)


def made_case(account: Account, backend: AwsKms) -> BackendCase:
    number = next(NUMBERS)
    key_id = account.lab.create_key(f"orders {number}", f"orders-{number}")
    signing = account.lab.create_key(f"signing {number}", spec="ECC_NIST_P256")
    consumer = account.lab.create_user(f"shop-{number}", allow(*USE))
    return BackendCase(
        name="aws-kms",
        backend=backend,
        key=KeyRef.parse(f"aws-kms:prod/{key_id}"),
        missing_key=KeyRef.parse("aws-kms:prod/00000000-0000-0000-0000-000000000000"),
        supports=frozenset(Capability) - {Capability.SIGN, Capability.DESTROY},
        open_again=lambda: opened(account),
        open_unreachable=lambda: opened(account, endpoint_url=f"http://127.0.0.1:{free_port()}"),
        disabled_codes=("DisabledException",),
        quarantined_codes=("AccessDeniedException",),
        identity=consumer.credential,
        sign_key=KeyRef.parse(f"aws-kms:prod/{signing}"),
        secrets=tuple(
            json.loads((account.lab.directory / f"{name}.aws.json").read_text())["secret_access_key"]
            for name in (consumer.name, "recovery")
        ),
    )


@pytest.fixture
def case(aws: Account) -> Iterator[BackendCase]:
    backend = opened(aws)
    yield made_case(aws, backend)
    backend.close()


class TestAwsKms(KeyBackendContract):
    """The suite over ministack."""

    @pytest.fixture
    def case(self, case: BackendCase) -> BackendCase:
        """A fresh key, a consumer who may use it, and a signing key."""
        return case


def test_release_gives_the_old_policy_back(case: BackendCase, aws: Account) -> None:
    """Quarantine edits the policy only by its own statements, and release takes exactly those out."""
    kms = aws.lab.client("kms")
    before = json.loads(kms.get_key_policy(KeyId=case.key.path, PolicyName="default")["Policy"])
    receipt = case.backend.quarantine(case.key)
    assert json.loads(str(receipt.undo["policy"])) == before
    case.backend.stop_encryption(case.key)
    case.backend.release(case.key, undo=receipt.undo)
    left = json.loads(kms.get_key_policy(KeyId=case.key.path, PolicyName="default")["Policy"])
    assert [statement["Sid"] for statement in left["Statement"]][-1] == "KeyquellStopEncryption"
    case.backend.resume_encryption(case.key, undo={})
    assert json.loads(kms.get_key_policy(KeyId=case.key.path, PolicyName="default")["Policy"]) == before


def test_a_second_quarantine_still_knows_the_way_back(case: BackendCase) -> None:
    """A step repeated after a crash has the same undo as the first."""
    first, second = case.backend.quarantine(case.key), case.backend.quarantine(case.key)
    assert json.loads(str(first.undo["policy"])) == json.loads(str(second.undo["policy"]))


def test_quarantine_spares_whom_it_is_told_to(case: BackendCase, aws: Account) -> None:
    """The service that re-encrypts may go on while everybody else is out."""
    allowed = aws.lab.create_user(f"sweeper-{next(NUMBERS)}", allow(*USE))
    case.backend.quarantine(case.key, allow=[allowed.arn])
    inside = case.backend.probe(case.key, operation="decrypt", expected="worked", identity=allowed.credential)
    outside = case.backend.probe(case.key, operation="decrypt", expected="refused", identity=case.identity)
    assert (inside.outcome, outside.outcome) == (Outcome.WORKED, Outcome.REFUSED)


def test_quarantine_beats_a_grant(case: BackendCase, aws: Account) -> None:
    """A grant works without any policy, and not against an explicit Deny."""
    kms, grantee = aws.lab.client("kms"), aws.lab.create_user(f"batch-{next(NUMBERS)}")
    kms.create_grant(KeyId=case.key.path, GranteePrincipal=grantee.arn, Operations=["Decrypt"])
    before = case.backend.probe(case.key, operation="decrypt", expected="worked", identity=grantee.credential)
    case.backend.quarantine(case.key)
    after = case.backend.probe(case.key, operation="decrypt", expected="refused", identity=grantee.credential)
    assert (before.outcome, after.outcome) == (Outcome.WORKED, Outcome.REFUSED)


def test_revoked_grants_end_only_their_principal(case: BackendCase, aws: Account) -> None:
    """Grants of others stay; a second call changes nothing."""
    kms = aws.lab.client("kms")
    one, two = (aws.lab.create_user(f"grantee-{next(NUMBERS)}") for _ in range(2))
    for user in (one, two):
        kms.create_grant(KeyId=case.key.path, GranteePrincipal=user.arn, Operations=["Decrypt"])
    first = case.backend.revoke_grants(case.key, principal=one.arn)
    second = case.backend.revoke_grants(case.key, principal=one.arn)
    assert (first.changed, second.changed) == (True, False)
    assert [grant["GranteePrincipal"] for grant in kms.list_grants(KeyId=case.key.path)["Grants"]] == [two.arn]


def test_switch_moves_every_alias(case: BackendCase, aws: Account) -> None:
    """Callers that name the alias use the successor from then on."""
    aliases = case.backend.describe(case.key).aliases
    new, _ = case.backend.create(like=case.key, marker="switch-1")
    receipt = case.backend.switch(old=case.key, new=new)
    assert aliases
    assert receipt.undo["aliases"] == list(aliases)
    assert case.backend.describe(new).aliases == aliases
    assert case.backend.describe(case.key).aliases == ()


def test_a_successor_is_not_born_in_quarantine(case: BackendCase) -> None:
    """The new key gets the old policy without our Deny."""
    case.backend.quarantine(case.key)
    new, _ = case.backend.create(like=case.key, marker="clean-1")
    result = case.backend.probe(new, operation="encrypt", expected="worked", identity=case.identity)
    assert result.as_expected, result


def test_a_cancelled_deletion_without_undo_leaves_the_key_disabled(case: BackendCase) -> None:
    """That is how AWS does it: nothing is switched on by accident."""
    case.backend.schedule_deletion(case.key, days=7)
    pending = case.backend.probe(case.key, operation="decrypt", expected="refused", identity=case.identity)
    assert (pending.outcome, pending.code) == (Outcome.REFUSED, "KMSInvalidStateException")
    case.backend.cancel_deletion(case.key, undo={})
    assert case.backend.describe(case.key).state is KeyState.SUSPENDED


def test_a_process_that_starts_later_can_still_probe(case: BackendCase) -> None:
    """The ciphertext to try is kept at the key, so a killed response probes decryption when it continues."""
    case.backend.disable(case.key)
    later = case.open_again()
    result = later.probe(case.key, operation="decrypt", expected="refused", identity=case.identity)
    later.close()
    assert (result.outcome, result.code) == (Outcome.REFUSED, "DisabledException")


def test_a_refusal_of_the_recovery_identity_is_no_proof(case: BackendCase, aws: Account) -> None:
    """When the probe cannot even be prepared, the result is inconclusive."""
    blind = aws.lab.create_user(f"blind-{next(NUMBERS)}", allow("kms:DescribeKey"))
    backend = opened(aws, credential=blind.credential, recovery_principal=blind.arn)
    result = backend.probe(case.key, operation="decrypt", expected="refused", identity=case.identity)
    backend.close()
    assert result.outcome is Outcome.INCONCLUSIVE, result


def test_a_wrapped_key_of_another_key_is_no_refusal(case: BackendCase, aws: Account) -> None:
    """IncorrectKeyException says that the data is wrong, not that the key is dead."""
    other = KeyRef.parse(f"aws-kms:prod/{aws.lab.create_key('other')}")
    wrapped = case.backend.wrap(case.key, DATA_KEYS[:1], contexts=[CONTEXT])
    (answer,) = case.backend.unwrap(other, wrapped)
    assert isinstance(answer, IntegrityFailure)
    assert answer.code == "IncorrectKeyException"


def test_a_move_without_permission_is_unavailable_with_its_reason(case: BackendCase, aws: Account) -> None:
    """The plan knows before anything runs that the recovery identity may not schedule a deletion."""
    weak = aws.lab.create_user(
        f"weak-{next(NUMBERS)}",
        allow("kms:Describe*", "kms:List*", "kms:Get*", "kms:Encrypt", "kms:DisableKey", "iam:Simulate*"),
    )
    backend = opened(aws, credential=weak.credential, recovery_principal=weak.arn)
    facts = backend.describe(case.key)
    with pytest.raises(Refused):
        backend.schedule_deletion(case.key, days=7)
    backend.close()
    assert facts.can(Capability.DISABLE)
    assert facts.unavailable[Capability.SCHEDULE_DELETION] == "The recovery identity lacks kms:ScheduleKeyDeletion."


def test_usage_names_caller_and_operation(case: BackendCase, aws: Account) -> None:
    """The trail tells who used the key, since when."""
    started = now() - timedelta(seconds=2)
    case.backend.probe(case.key, operation="encrypt", expected="worked", identity=case.identity)
    used = case.backend.usage(case.key, since=started)
    assert any(event.operation == "Encrypt" and ":user/shop-" in event.principal for event in used)
    assert [event.at for event in used] == sorted(event.at for event in used)


@pytest.mark.parametrize(
    ("change", "field"), [({"region": None}, "region"), ({"recovery_principal": "me"}, "recovery_principal")]
)
def test_a_wrong_option_is_named(aws: Account, change: dict[str, Any], field: str) -> None:
    """The message says which connection and which field, before any call."""
    with pytest.raises(InvalidInput, match=f"'prod', field '{field}'"):
        opened(aws, **change)


def test_a_backend_that_lies_about_disabling_is_caught(lying_aws: Account) -> None:
    """moto acknowledges DisableKey and goes on decrypting: the probe says that it worked."""
    backend = opened(lying_aws)
    key = KeyRef.parse(f"aws-kms:prod/{lying_aws.lab.create_key('orders')}")
    backend.describe(key)
    assert backend.disable(key).changed
    result = backend.probe(key, operation="decrypt", expected="refused")
    backend.close()
    assert result.outcome is Outcome.WORKED
    assert not result.as_expected


@pytest.mark.parametrize("made", [False, True], ids=["before the key was made", "before it got its name"])
def test_a_creation_killed_halfway_is_finished(case: BackendCase, monkeypatch: pytest.MonkeyPatch, made: bool) -> None:
    """The alias that states the intent stands first, so that the next try knows to look for what was made."""
    real = case.backend.kms

    class Dying:
        def __getattr__(self, name: str) -> Any:
            if name == ("update_alias" if made else "create_key"):
                raise KeyboardInterrupt
            return getattr(real, name)

    before = len(list(case.backend.list_keys()))
    monkeypatch.setitem(case.backend._clients, "kms", Dying())
    with pytest.raises(KeyboardInterrupt):
        case.backend.create(like=case.key, marker="step-1")
    monkeypatch.undo()
    assert len(list(case.backend.list_keys())) == before + made
    new, _ = case.backend.create(like=case.key, marker="step-1")
    same, again = case.backend.create(like=case.key, marker="step-1")
    assert (new, again.changed) == (same, False)
    assert len(list(case.backend.list_keys())) == before + 1


def test_a_repeated_creation_looks_at_no_other_key(case: BackendCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account may hold thousands of keys: the successor is found by name."""
    new, _ = case.backend.create(like=case.key, marker="step-1")

    def never() -> None:
        raise AssertionError

    monkeypatch.setattr(case.backend, "list_keys", never)
    assert case.backend.create(like=case.key, marker="step-1")[0] == new
    assert case.backend.create(like=case.key, marker="step-2")[0] != new


def test_a_deletion_repeated_after_a_crash_still_knows_that_the_key_was_in_use(case: BackendCase) -> None:
    """The state of before is kept at the key, so that calling the deletion off brings the service back."""
    case.backend.schedule_deletion(case.key, days=7)
    later = case.open_again()
    again = later.schedule_deletion(case.key, days=7)
    later.cancel_deletion(case.key, undo=again.undo)
    later.close()
    assert case.backend.describe(case.key).state is KeyState.ACTIVE


def test_a_key_that_was_disabled_before_is_not_enabled_by_an_undo(case: BackendCase, aws: Account) -> None:
    """Undoing what was not done would switch on what somebody switched off."""
    aws.lab.client("kms").disable_key(KeyId=case.key.path)
    case.backend.enable(case.key, undo=case.backend.disable(case.key).undo)
    assert case.backend.describe(case.key).state is KeyState.SUSPENDED
