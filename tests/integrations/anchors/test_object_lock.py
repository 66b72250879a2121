"""Checkpoints in S3 with object lock, on two servers that enforce it: what lies there stays, nothing else counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from aws_fixtures import Account, allow, aws, lying_aws
from botocore.exceptions import ClientError
from sealed_checkpoint import CONTENT, checkpoint

from integrations.registry import open_adapter
from playbooks.errors import IntegrityFailure, InvalidInput, Refused, Unavailable, Unreachable

__all__ = ["aws", "lying_aws"]

NEEDED = (
    "s3:PutObject", "s3:PutObjectRetention", "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention",
    "s3:GetBucketObjectLockConfiguration", "s3:ListBucket",
)  # fmt: skip


@pytest.fixture(params=["aws", "lying_aws"])
def account(request: pytest.FixtureRequest) -> Account:
    """ministack, and moto."""
    found: Account = request.getfixturevalue(request.param)
    return found


def bucket_of(account: Account, *, locked: bool = True) -> str:
    name = f"evidence-{uuid4().hex[:10]}"
    account.lab.client("s3").create_bucket(Bucket=name, ObjectLockEnabledForBucket=locked)
    return name


def opened(account: Account, bucket: str, *, policy: Any = None, **changes: Any) -> Any:
    """The anchor, logged in as a user of its own with no more than it needs."""
    user = account.lab.create_user(f"anchor-{uuid4().hex[:8]}", policy or allow(*NEEDED))
    connection = {**account.lab.connection_options(user.credential, user.arn), **changes}
    connection.pop("type")
    options = {"connection": connection, "bucket": bucket, "retain_days": 30}
    return open_adapter("anchors", "s3-object-lock", name="vault", options=options, clock=lambda: datetime.now(UTC))


def at(account: Account, reference: str) -> dict[str, Any]:
    """What lies where a reference points."""
    place = urlsplit(reference)
    version = parse_qs(place.query)["versionId"][0]
    found = account.lab.client("s3").get_object(Bucket=place.netloc, Key=place.path[1:], VersionId=version)
    return dict(found)


def test_a_checkpoint_lies_locked_and_root_cannot_delete_it(account: Account) -> None:
    """In compliance mode, for as long as was asked, the same to the last byte."""
    bucket = bucket_of(account)
    laid = opened(account, bucket).anchor(checkpoint())
    found = at(account, laid.reference)
    assert found["Body"].read() == CONTENT
    assert found["ObjectLockMode"] == "COMPLIANCE"
    assert found["ObjectLockRetainUntilDate"] > datetime.now(UTC) + timedelta(days=29, hours=23)
    assert found["Metadata"] == {"exercise": "false"}
    key = urlsplit(laid.reference).path[1:]
    with pytest.raises(ClientError, match="AccessDenied"):
        account.lab.client("s3").delete_object(Bucket=bucket, Key=key, VersionId=found["VersionId"])


def test_the_same_checkpoint_is_found_and_not_laid_down_twice(account: Account) -> None:
    """Also by another process; what somebody put over it or hid it by costs one more version."""
    bucket = bucket_of(account)
    first = opened(account, bucket).anchor(checkpoint()).reference
    assert opened(account, bucket).anchor(checkpoint()).reference == first
    s3, key = account.lab.client("s3"), urlsplit(first).path[1:]
    s3.delete_object(Bucket=bucket, Key=key)
    second = opened(account, bucket).anchor(checkpoint()).reference
    s3.put_object(Bucket=bucket, Key=key, Body=b"all is well")
    third = opened(account, bucket).anchor(checkpoint()).reference
    assert len({first, second, third}) == 3
    assert [at(account, each)["Body"].read() for each in (first, second, third)] == [CONTENT] * 3


def test_one_that_lies_there_for_too_short_a_time_is_not_enough(account: Account) -> None:
    """Somebody else may have put it there so that it goes away soon."""
    bucket = bucket_of(account)
    first = opened(account, bucket).anchor(checkpoint()).reference
    key = urlsplit(first).path[1:]
    account.lab.client("s3").put_object(
        Bucket=bucket, Key=key, Body=CONTENT, ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=datetime.now(UTC) + timedelta(hours=2),
    )  # fmt: skip
    again = opened(account, bucket).anchor(checkpoint()).reference
    assert at(account, again)["ObjectLockRetainUntilDate"] > datetime.now(UTC) + timedelta(days=29)


def test_an_exercise_lies_apart_and_is_marked(account: Account) -> None:
    """By its folder and by its metadata."""
    laid = opened(account, bucket_of(account)).anchor(checkpoint(exercise=True))
    assert "/exercises/" in laid.reference
    assert at(account, laid.reference)["Metadata"] == {"exercise": "true"}


def test_a_bucket_without_object_lock_is_refused_and_gets_nothing(account: Account) -> None:
    """Before anything is written; doctor says the same."""
    bucket = bucket_of(account, locked=False)
    anchor = opened(account, bucket)
    for look in (anchor.check, lambda: anchor.anchor(checkpoint())):
        with pytest.raises(Unavailable, match="has no object lock"):
            look()
    assert "Contents" not in account.lab.client("s3").list_objects_v2(Bucket=bucket)


def test_doctor_hears_how_long_a_checkpoint_stays(account: Account) -> None:
    """By a look that writes nothing."""
    assert "30 days" in opened(account, bucket_of(account)).check()


class Forgetful:
    """A server that takes the lock's headers and forgets one thing of what it was given."""

    def __init__(self, s3: Any, **wrong: Any) -> None:
        self._s3, self._wrong = s3, wrong

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            answer = getattr(self._s3, name)(**arguments)
            return {**answer, **self._wrong} if name == "get_object" else answer

        return call


@pytest.mark.parametrize(
    "wrong",
    [{"ObjectLockMode": "GOVERNANCE"}, {"ObjectLockRetainUntilDate": datetime(2026, 1, 1, tzinfo=UTC)},
     {"ObjectLockMode": None}],
)  # fmt: skip
def test_what_is_not_read_back_as_locked_does_not_count(aws: Account, wrong: dict[str, Any]) -> None:
    """Servers that speak S3 ignore headers that they do not know: the answer to the writing proves nothing."""
    anchor = opened(aws, bucket_of(aws))
    anchor.__dict__["_s3"] = Forgetful(anchor._s3, **wrong)
    with pytest.raises(IntegrityFailure, match="is not locked"):
        anchor.anchor(checkpoint())


def test_whoever_may_not_write_is_refused(aws: Account) -> None:
    """By policy."""
    bucket = bucket_of(aws)
    reads = allow(*[each for each in NEEDED if not each.startswith("s3:Put")])
    with pytest.raises(Refused):
        opened(aws, bucket, policy=reads).anchor(checkpoint())


def test_a_server_that_is_away_is_unreachable(aws: Account) -> None:
    """And nothing is said of the bucket."""
    with pytest.raises(Unreachable):
        opened(aws, "evidence", endpoint_url="http://127.0.0.1:9").anchor(checkpoint())


@pytest.mark.parametrize(
    ("field", "value"), [("retain_days", 0), ("bucket", "Not A Bucket"), ("prefix", "a?b"), ("unknown", 1)]
)
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    """With its place in the settings."""
    options = {"connection": {}, "bucket": "evidence", "retain_days": 30, field: value}
    with pytest.raises(InvalidInput, match=rf"anchors\.vault: {field}"):
        open_adapter("anchors", "s3-object-lock", name="vault", options=options, clock=lambda: datetime.now(UTC))
