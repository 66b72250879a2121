"""IAM access keys are cut, renewed and proven dead, sessions included."""

from __future__ import annotations

import itertools
import json
import stat
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_fixtures import Account, allow, aws, lying_aws, now

from integrations.credentials.aws_iam import AwsIam
from playbooks.errors import InvalidInput, NotFound, Unavailable
from playbooks.receipts import Outcome
from playbooks.refs import CredentialRef
from simulations.lab.aws_account import REGION, LabUser
from simulations.lab.processes import free_port

__all__ = ["aws", "lying_aws"]

NUMBERS = itertools.count()


@pytest.fixture
def iam(aws: Account) -> AwsIam:
    return AwsIam.open("prod", aws.options, clock=now)


@pytest.fixture
def user(aws: Account) -> LabUser:
    return aws.lab.create_user(f"svc-{next(NUMBERS)}", allow("kms:*", "sts:AssumeRole"))


def ref(user: LabUser) -> CredentialRef:
    return CredentialRef.parse(f"aws-iam:prod/{user.name}/{user.access_key_id}")


def probed(iam: AwsIam, user: LabUser, secret: str = "", expected: str = "refused") -> tuple[Outcome, str]:
    result = iam.probe_credential(ref(user), secret=secret or user.credential, expected=expected)
    return result.outcome, result.code


def minted(account: Account, user: LabUser, folder: Path, *, role: str = "") -> str:
    """A session minted from the user's access key, as a secret reference."""
    secret = json.loads(Path(user.credential.removeprefix("file:")).read_text())
    sts: Any = boto3.client(
        "sts",
        endpoint_url=account.lab.endpoint_url,
        region_name=REGION,
        aws_access_key_id=secret["access_key_id"],
        aws_secret_access_key=secret["secret_access_key"],
    )
    answer = sts.assume_role(RoleArn=role, RoleSessionName="stolen") if role else sts.get_session_token()
    made = answer["Credentials"]
    place = folder / f"session-{next(NUMBERS)}.json"
    place.write_text(
        json.dumps(
            {
                "access_key_id": made["AccessKeyId"],
                "secret_access_key": made["SecretAccessKey"],
                "session_token": made["SessionToken"],
            }
        )
    )
    return f"file:{place}"


def test_a_cut_key_is_refused_by_its_specific_code(iam: AwsIam, user: LabUser) -> None:
    """Both STS and KMS do not know the key any more; cutting twice is cutting once."""
    assert probed(iam, user, expected="worked") == (Outcome.WORKED, "")
    first, second = iam.cut(ref(user)), iam.cut(ref(user))
    assert (first.changed, second.changed) == (True, False)
    assert probed(iam, user) == (Outcome.REFUSED, "UnrecognizedClientException")


def test_restore_takes_a_false_alarm_back(iam: AwsIam, user: LabUser) -> None:
    """The same key works again."""
    undo = iam.cut(ref(user)).undo
    assert iam.restore(ref(user), undo=undo).changed
    assert not iam.restore(ref(user), undo=undo).changed
    assert probed(iam, user, expected="worked")[0] is Outcome.WORKED


def test_a_session_minted_before_the_cut_still_works_until_sessions_are_revoked(
    iam: AwsIam, aws: Account, user: LabUser, tmp_path: Path
) -> None:
    """Cutting the key does not contain what was minted from it: sessions of the user and of its roles die later."""
    role = aws.lab.create_role(f"reader-{next(NUMBERS)}", user.arn, allow("kms:*"))
    sessions = [minted(aws, user, tmp_path), minted(aws, user, tmp_path, role=role)]
    iam.cut(ref(user))
    assert probed(iam, user, sessions[1])[0] is Outcome.WORKED
    receipt = iam.revoke_sessions(ref(user))
    assert role.rpartition("/")[2] in list(receipt.undo["roles"])  # type: ignore[arg-type]
    for session in sessions:
        assert probed(iam, user, session) == (Outcome.REFUSED, "AccessDeniedException")


def test_a_role_that_trusts_the_whole_account_is_found_when_the_user_may_assume_it(
    iam: AwsIam, aws: Account, user: LabUser
) -> None:
    """Trust in the account's root is reach for whoever may call AssumeRole, and for nobody else."""
    number = next(NUMBERS)
    root = f"{user.arn.partition(':user/')[0]}:root"
    aws.lab.create_role(f"shared-{number}", root, allow("kms:*"))
    stranger = aws.lab.create_user(f"stranger-{number}", allow("kms:Decrypt"))
    assert f"shared-{number}" in list(iam.revoke_sessions(ref(user)).undo["roles"])  # type: ignore[arg-type]
    assert f"shared-{number}" not in list(iam.revoke_sessions(ref(stranger)).undo["roles"])  # type: ignore[arg-type]


def test_a_session_that_only_lacks_a_permission_is_not_dead(
    iam: AwsIam, aws: Account, user: LabUser, tmp_path: Path
) -> None:
    """A denial without an explicit Deny proves nothing: the session may do other things."""
    role = aws.lab.create_role(f"narrow-{next(NUMBERS)}", user.arn, allow("s3:GetObject"))
    assert probed(iam, user, minted(aws, user, tmp_path, role=role))[0] is Outcome.WORKED


def test_a_new_key_is_delivered_once(iam: AwsIam, user: LabUser, tmp_path: Path) -> None:
    """A repeated step finds the delivered key; it works, and the file is for its owner only."""
    place = tmp_path / "next.json"
    new, first = iam.issue(like=ref(user), marker="step-1", deliver_to=f"file:{place}")
    same, second = iam.issue(like=ref(user), marker="step-1", deliver_to=f"file:{place}")
    assert new == same != ref(user)
    assert (first.changed, second.changed) == (True, False)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert iam.probe_credential(new, secret=f"file:{place}", expected="worked").as_expected
    assert json.loads(place.read_text())["secret_access_key"] not in first.model_dump_json() + repr(new)


def test_revoked_sessions_do_not_touch_the_new_key(iam: AwsIam, user: LabUser, tmp_path: Path) -> None:
    """A long-lived key has no issue time, so the Deny on old tokens passes it by."""
    place = f"file:{tmp_path / 'next.json'}"
    iam.cut(ref(user))
    new, _ = iam.issue(like=ref(user), marker="step-1", deliver_to=place)
    iam.revoke_sessions(ref(user))
    assert iam.probe_credential(new, secret=place, expected="worked").as_expected


def test_an_orphan_whose_secret_was_lost_makes_room(iam: AwsIam, aws: Account, user: LabUser, tmp_path: Path) -> None:
    """Killed between making and delivering, the step leaves a key that nobody can use: the next try removes it."""
    orphan = aws.lab.client("iam").create_access_key(UserName=user.name)["AccessKey"]["AccessKeyId"]
    new, _ = iam.issue(like=ref(user), marker="step-1", deliver_to=f"file:{tmp_path / 'next.json'}")
    listed = aws.lab.client("iam").list_access_keys(UserName=user.name)["AccessKeyMetadata"]
    assert {entry["AccessKeyId"] for entry in listed} == {user.access_key_id, new.path.rpartition("/")[2]}
    assert orphan not in new.path


def test_a_key_in_somebodys_hands_is_never_removed(iam: AwsIam, aws: Account, user: LabUser, tmp_path: Path) -> None:
    """What was delivered for an earlier step stays; no room is said, with what to do."""
    place = f"file:{tmp_path / 'next.json'}"
    new, _ = iam.issue(like=ref(user), marker="step-1", deliver_to=place)
    with pytest.raises(Unavailable, match="two access keys"):
        iam.issue(like=ref(user), marker="step-2", deliver_to=place)
    assert iam.probe_credential(new, secret=place, expected="worked").as_expected


def test_an_unknown_key_is_not_found(iam: AwsIam, user: LabUser) -> None:
    """A typing error must not look like a cut credential."""
    with pytest.raises(NotFound):
        iam.cut(CredentialRef.parse(f"aws-iam:prod/{user.name}/AKIANOSUCHKEY"))


def test_a_secret_of_another_key_is_not_probed(iam: AwsIam, aws: Account, user: LabUser) -> None:
    """A probe with the wrong secret would prove the wrong thing."""
    other = aws.lab.create_user(f"other-{next(NUMBERS)}")
    with pytest.raises(InvalidInput, match="another access key"):
        probed(iam, user, other.credential)


def test_no_answer_is_inconclusive(aws: Account, user: LabUser) -> None:
    """A closed port says nothing about the credential."""
    options = {**aws.options, "endpoint_url": f"http://127.0.0.1:{free_port()}"}
    assert probed(AwsIam.open("prod", options, clock=now), user)[0] is Outcome.INCONCLUSIVE


def test_a_backend_that_lies_about_cutting_is_caught(lying_aws: Account) -> None:
    """moto acknowledges the cut and goes on answering: the probe says that it worked."""
    user = lying_aws.lab.create_user("svc")
    iam = AwsIam.open("prod", lying_aws.options, clock=now)
    assert iam.cut(ref(user)).changed
    assert probed(iam, user)[0] is Outcome.WORKED


def test_sessions_minted_before_the_cut_are_shown_to_end_by_a_later_process(
    iam: AwsIam, aws: Account, user: LabUser
) -> None:
    """The canaries outlive the cut, and are denied explicitly once sessions are revoked; another process sees it."""
    role = aws.lab.create_role(f"canary-{next(NUMBERS)}", user.arn, allow("kms:*"))
    iam.cut(ref(user), secret=user.credential)
    place = Path(f"{user.credential.removeprefix('file:')}.session")
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    before = iam.probe_sessions(ref(user), secret=user.credential, expected="refused")
    assert before.outcome is Outcome.WORKED
    receipt = iam.revoke_sessions(ref(user), secret=user.credential)
    again = AwsIam.open("prod", aws.options, clock=now)
    after = again.probe_sessions(ref(user), secret=user.credential, expected="refused")
    assert (after.outcome, after.code) == (Outcome.REFUSED, "AccessDeniedException")
    assert {"user", role.rpartition("/")[2]} <= set(after.detail.removeprefix("sessions tried: ").split(", "))
    for kept in json.loads(place.read_text()).values():
        assert kept == user.access_key_id or json.loads(kept)["secret_access_key"] not in f"{receipt}{after}"


def test_nothing_is_shown_of_sessions_when_none_was_minted(iam: AwsIam, user: LabUser) -> None:
    """Without a secret, or after the key is dead, there is no session to try, and that is said."""
    for secret in ("", user.credential):
        iam.cut(ref(user), secret="")
        iam.revoke_sessions(ref(user), secret=secret)
        with pytest.raises(Unavailable, match="no session could be minted"):
            iam.probe_sessions(ref(user), secret=secret, expected="refused")


def test_a_canary_of_an_earlier_cut_proves_nothing_about_this_one(iam: AwsIam, user: LabUser) -> None:
    """After a false alarm the next cut mints anew, so that an old denial is not taken for a new one."""
    iam.cut(ref(user), secret=user.credential)
    iam.revoke_sessions(ref(user), secret=user.credential)
    iam.restore(ref(user), undo={})
    time.sleep(2)  # a revocation covers the two seconds that follow it, to the second
    iam.cut(ref(user), secret=user.credential)
    assert iam.probe_sessions(ref(user), secret=user.credential, expected="refused").outcome is Outcome.WORKED


def test_a_secret_that_cannot_be_read_does_not_keep_a_key_from_being_cut(iam: AwsIam, user: LabUser) -> None:
    """The canary is best effort, the cut is not."""
    assert iam.cut(ref(user), secret="file:/nowhere/at-all.json").changed


def test_sessions_of_a_lying_backend_are_not_dead(lying_aws: Account) -> None:
    """moto takes the Deny and goes on answering sessions."""
    user = lying_aws.lab.create_user("svc-sessions", allow("kms:*", "sts:*"))
    iam = AwsIam.open("prod", lying_aws.options, clock=now)
    iam.cut(ref(user), secret=user.credential)
    iam.revoke_sessions(ref(user), secret=user.credential)
    assert iam.probe_sessions(ref(user), secret=user.credential, expected="refused").outcome is Outcome.WORKED
