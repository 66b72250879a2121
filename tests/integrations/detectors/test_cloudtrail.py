"""The call trail shows an access key in strange hands, once, and never the recovery identity."""

from __future__ import annotations

import itertools
from typing import Any

import boto3
import pytest
from aws_fixtures import Account, allow, aws, now
from botocore.config import Config

from integrations.detectors.cloudtrail import CloudTrail
from integrations.vendors.aws import AwsConnection, client
from playbooks.errors import InvalidInput, Refused, Unreachable
from playbooks.exposures import ExposureKind, Fingerprint
from simulations.lab.aws_account import REGION, LabUser
from simulations.lab.processes import free_port

__all__ = ["aws"]

NUMBERS = itertools.count()


@pytest.fixture
def user(aws: Account) -> LabUser:
    return aws.lab.create_user(f"trail-{next(NUMBERS)}", allow("kms:*"))


def detector(account: Account, approved: dict[str, tuple[str, ...]], **changes: Any) -> CloudTrail:
    connection = {name: value for name, value in account.options.items() if name != "type"}
    return CloudTrail.open("trail", {"connection": connection, "approved": approved, **changes}, clock=now)


def call(account: Account, user: LabUser, *, agent: str) -> None:
    """List keys as the user, with this user agent."""
    opened = client(AwsConnection.read("t", account.options), "kms", identity=user.credential)
    credentials = opened._request_signer._credentials
    boto3.client(
        "kms",
        region_name=REGION,
        endpoint_url=account.lab.endpoint_url,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        config=Config(user_agent=agent),
    ).list_keys()


def test_a_strange_program_is_reported_once(aws: Account, user: LabUser) -> None:
    """The signal names the access key and the first event; the cursor keeps it from being repeated."""
    trail = detector(aws, {user.access_key_id: ("Boto3/",)})
    call(aws, user, agent="Boto3/1.43 own")
    quiet, cursor = trail.poll(cursor="")
    call(aws, user, agent="aws-cli/2.27.0 md/prompt#off")
    call(aws, user, agent="aws-cli/2.27.0 md/prompt#off")
    (signal,), cursor = trail.poll(cursor=cursor)
    again, _ = trail.poll(cursor=cursor)
    assert (list(quiet), list(again)) == ([], [])
    assert signal.kind is ExposureKind.CREDENTIAL
    assert signal.fingerprints == (Fingerprint(kind="access-key-id", value=user.access_key_id),)
    assert signal.confidence == 0.85
    assert "aws-cli/2.27.0" in signal.summary
    assert signal.first_seen is not None
    assert signal.evidence_uri == f"cloudtrail:{signal.external_id}"


def test_a_second_reader_names_the_same_event(aws: Account, user: LabUser) -> None:
    """A lost cursor gives the same external id again, so intake can drop it."""
    call(aws, user, agent="curl/8")
    approved = {user.access_key_id: ("Boto3/",)}
    (one,), _ = detector(aws, approved).poll(cursor="")
    (two,), _ = detector(aws, approved).poll(cursor="")
    assert one.external_id == two.external_id


def test_refused_calls_are_reported_with_less_confidence(aws: Account) -> None:
    """An attempt without success is a weaker sign."""
    weak = aws.lab.create_user(f"trail-{next(NUMBERS)}", allow("s3:GetObject"))
    with pytest.raises(Exception, match="AccessDenied"):
        call(aws, weak, agent="curl/8")
    (signal,), _ = detector(aws, {weak.access_key_id: ("Boto3/",)}).poll(cursor="")
    assert signal.confidence == 0.6
    assert "AccessDeniedException" in signal.summary


@pytest.mark.parametrize(
    ("approved", "strange"),
    [
        (("Boto3/", "127.0.0.0/8"), False),
        (("Boto3/", "10.0.0.0/8"), True),
        (("aws-sdk-go/", "127.0.0.1"), True),
        (("127.0.0.1",), False),
    ],
)
def test_program_and_place_must_both_be_known(
    aws: Account, user: LabUser, approved: tuple[str, ...], *, strange: bool
) -> None:
    """Where both are listed, the right program from the wrong place is strange."""
    call(aws, user, agent="Boto3/1.43")
    signals, _ = detector(aws, {user.access_key_id: approved}).poll(cursor="")
    assert bool(signals) is strange


def test_the_recovery_identity_is_never_reported(aws: Account) -> None:
    """The response's own calls must not become an incident, whatever is approved."""
    call(aws, aws.recovery, agent="keyquell")
    signals, _ = detector(aws, {aws.recovery.access_key_id: ("Boto3/",)}).poll(cursor="")
    assert list(signals) == []


def test_a_key_without_a_known_owner_is_not_judged(aws: Account, user: LabUser) -> None:
    """There is nothing to compare with; a key that was issued a minute ago must not raise an alarm."""
    call(aws, user, agent="curl/8")
    signals, _ = detector(aws, {}).poll(cursor="")
    assert list(signals) == []


def test_the_check_tells_a_trail_that_may_not_be_read(aws: Account, user: LabUser) -> None:
    """Silence would look like calm."""
    assert "1 access keys are watched" in detector(aws, {user.access_key_id: ("Boto3/",)}).check()
    connection = {**aws.options, "credential": user.credential}
    connection.pop("type", None)
    with pytest.raises(Refused):
        CloudTrail.open("trail", {"connection": connection}, clock=now).check()


def test_no_answer_is_unreachable(aws: Account) -> None:
    """A blind detector says so instead of reporting calm."""
    options = {**aws.options, "endpoint_url": f"http://127.0.0.1:{free_port()}"}
    with pytest.raises(Unreachable):
        CloudTrail.open("trail", {"connection": options}, clock=now).poll(cursor="")


def test_a_wrong_option_is_named(aws: Account) -> None:
    """The message names the detector and the field."""
    with pytest.raises(InvalidInput, match="detector 'trail', field 'lateness_seconds'"):
        detector(aws, {}, lateness_seconds=0)
