"""Unusual use of a real KMS key, read from a real call trail, is told once; the response's own calls are not."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aws_fixtures import Account, allow, aws, now

from integrations.detectors.key_usage import KeyUsage
from integrations.vendors.aws import AwsConnection, client
from playbooks.errors import InvalidInput, NotFound, Unreachable
from playbooks.exposures import ExposureKind, Fingerprint
from playbooks.usage_baseline import hour_of
from simulations.lab.aws_account import LabUser
from simulations.lab.processes import free_port

__all__ = ["aws"]

NUMBERS = itertools.count()


@pytest.fixture
def user(aws: Account) -> LabUser:
    """A user of KMS keys."""
    return aws.lab.create_user(f"usage-{next(NUMBERS)}", allow("kms:*"))


@pytest.fixture
def key(aws: Account) -> str:
    """A key that nobody has used."""
    return f"aws-kms:prod/{aws.lab.create_key(f'usage-{next(NUMBERS)}')}"


def detector(account: Account, *keys: str, **options: Any) -> KeyUsage:
    """The detector on these keys; it reads at every poll."""
    connection = {name: value for name, value in account.options.items() if name != "type"}
    given = {"connection": connection, "keys": list(keys), "every_seconds": 1e-6, **options}
    return KeyUsage.open("usage", given, clock=now)


def encrypt(account: Account, user: LabUser, key: str, *, times: int) -> None:
    """Use the key as the user."""
    kms = client(AwsConnection.read("t", account.options), "kms", identity=user.credential)
    for _ in range(times):
        kms.encrypt(KeyId=key.rpartition("/")[2], Plaintext=b"latte")


def a_week_of(key: str, *, uses: int, principals: list[str]) -> str:
    """The cursor as a detector would have kept it after a week with so many uses an hour."""
    this = hour_of(datetime.now(UTC))
    hours = {str(hour): uses for hour in range(this - 168, this)}
    read = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    state = {"read": read, "hours": hours, "began": this - 168, "principals": principals, "reported": []}
    return json.dumps({"read": read, "keys": {key: state}})


def test_unusual_volume_is_told_once_with_the_key(aws: Account, user: LabUser, key: str) -> None:
    """Thirty uses where one an hour was usual; the finding is modest, names the key, and is not repeated."""
    cursor = a_week_of(key, uses=1, principals=[user.arn])
    watching = detector(aws, key)
    encrypt(aws, user, key, times=3)
    quiet, cursor = watching.poll(cursor=cursor)
    encrypt(aws, user, key, times=27)
    (signal,), cursor = watching.poll(cursor=cursor)
    again, _ = watching.poll(cursor=cursor)
    assert (list(quiet), list(again)) == ([], [])
    assert signal.kind is ExposureKind.POLICY
    assert signal.fingerprints == (Fingerprint(kind="key-uri", value=key),)
    assert signal.confidence == 0.5
    assert signal.summary.startswith("Unusual volume: ")
    assert "30 times" in signal.summary


def test_a_principal_that_is_not_on_the_list_is_told_once(aws: Account, user: LabUser, key: str) -> None:
    """No history is needed for that; the approved one is not reported."""
    stranger = aws.lab.create_user(f"usage-{next(NUMBERS)}", allow("kms:*"))
    encrypt(aws, user, key, times=2)
    encrypt(aws, stranger, key, times=2)
    watching = detector(aws, key, approved=[user.arn])
    (signal,), cursor = watching.poll(cursor="")
    again, _ = watching.poll(cursor=cursor)
    assert list(again) == []
    assert signal.confidence == 0.7
    assert stranger.arn in signal.summary
    assert "Encrypt from " in signal.summary
    assert signal.first_seen is not None


def test_without_a_list_whoever_is_new_after_the_history_is_told(aws: Account, user: LabUser, key: str) -> None:
    """Those who used the key all week are taken as approved; a newcomer is a weaker sign than one off the list."""
    stranger = aws.lab.create_user(f"usage-{next(NUMBERS)}", allow("kms:*"))
    encrypt(aws, user, key, times=1)
    encrypt(aws, stranger, key, times=1)
    (signal,), _ = detector(aws, key).poll(cursor=a_week_of(key, uses=1, principals=[user.arn]))
    assert stranger.arn in signal.summary
    assert signal.confidence == 0.5


def test_a_key_without_history_is_not_judged(aws: Account, user: LabUser, key: str) -> None:
    """The first hours of a key, or of the detector, raise no alarm, however busy."""
    encrypt(aws, user, key, times=40)
    watching = detector(aws, key)
    quiet, cursor = watching.poll(cursor="")
    assert list(quiet) == []
    assert list(watching.poll(cursor=cursor)[0]) == []


def test_the_recovery_identity_is_no_stranger(aws: Account, user: LabUser, key: str) -> None:
    """The response's own calls neither alarm nor count."""
    encrypt(aws, aws.recovery, key, times=30)
    quiet, cursor = detector(aws, key, approved=[user.arn]).poll(cursor=a_week_of(key, uses=1, principals=[]))
    assert list(quiet) == []
    assert str(hour_of(datetime.now(UTC))) not in json.loads(cursor)["keys"][key]["hours"]


def test_a_lost_cursor_names_the_same_finding(aws: Account, user: LabUser, key: str) -> None:
    """Read again from the beginning, the finding has the id by which the intake knows it."""
    encrypt(aws, user, key, times=1)
    ids = [detector(aws, key, approved=["nobody"]).poll(cursor="")[0][0].external_id for _ in range(2)]
    assert ids[0] == ids[1]


def test_the_trail_is_not_read_more_often_than_asked(aws: Account, key: str) -> None:
    """LookupEvents takes two calls a second: a poll within ``every_seconds`` asks nothing."""
    watching = detector(aws, key, every_seconds=60)
    _, cursor = watching.poll(cursor="")
    blind = detector(aws, key, every_seconds=60, connection=_nowhere(aws))
    assert blind.poll(cursor=cursor) == ((), cursor)


def test_the_cursor_stays_small(aws: Account, user: LabUser, key: str) -> None:
    """Counts, not events: a thousand uses take no more room than one."""
    encrypt(aws, user, key, times=50)
    _, cursor = detector(aws, key, history_days=7).poll(cursor=a_week_of(key, uses=50_000, principals=[user.arn]))
    assert len(cursor) < 4096


def test_a_key_that_is_gone_holds_up_no_other(aws: Account, user: LabUser, key: str) -> None:
    """The other's finding is told first; then the fault is."""
    gone = "aws-kms:prod/00000000-0000-0000-0000-000000000000"
    encrypt(aws, user, key, times=1)
    watching = detector(aws, gone, key, approved=["nobody"])
    (signal,), cursor = watching.poll(cursor="")
    assert signal.fingerprints[0].value == key
    with pytest.raises(NotFound):
        watching.poll(cursor=cursor)


def test_no_answer_is_unreachable(aws: Account, key: str) -> None:
    """A blind detector says so instead of reporting calm."""
    with pytest.raises(Unreachable):
        detector(aws, key, connection=_nowhere(aws)).poll(cursor="")


def _nowhere(account: Account) -> dict[str, Any]:
    options = {**account.options, "endpoint_url": f"http://127.0.0.1:{free_port()}"}
    return {name: value for name, value in options.items() if name != "type"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"keys": []}, "keys"),
        ({"keys": ["aws-kms:a/1", "aws-kms:b/2"]}, "keys"),
        ({"keys": ["aws-iam:a/1"]}, "keys.0"),
        ({"min_history_hours": 0}, "min_history_hours"),
        ({"history_days": 91}, "history_days"),
        ({"aproved": []}, "aproved"),
    ],
)
def test_a_wrong_option_is_named(aws: Account, key: str, changes: dict[str, Any], field: str) -> None:
    """The message names the detector and the field."""
    with pytest.raises(InvalidInput, match=f"detector 'usage', field '{field}'"):
        detector(aws, **{"keys": [key], **changes})


def test_a_backend_without_a_trail_is_refused_by_name(key: str) -> None:
    """OpenBao keeps no trail that can be read here: its audit log has a detector of its own."""
    options = {
        "connection": {"address": "http://127.0.0.1:1", "token": "env:NONE"},
        "keys": ["openbao:vault/transit/orders"],
    }
    with pytest.raises(InvalidInput):
        KeyUsage.open("usage", options, clock=now).poll(cursor="")
