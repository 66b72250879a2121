"""GuardDuty and AWS Health events leave the queue only when their signals are kept."""

from __future__ import annotations

import copy
import itertools
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from aws_fixtures import Account, allow, aws, now
from findings_abuse import ACCESS_KEY, FUZZ, SECRET_KEY, mutations
from hypothesis import given

from integrations.detectors.aws_events import AwsEvents
from playbooks.errors import InvalidInput, Refused, Unavailable, Unreachable
from playbooks.exposures import ExposureKind, Fingerprint
from simulations.lab.aws_account import LabUser

__all__ = ["aws"]

NUMBERS = itertools.count()
GUARDDUTY: dict[str, Any] = {
    "version": "0",
    "id": "cd2d702e-ab31-411b-9344-793ce56b1bc7",
    "detail-type": "GuardDuty Finding",
    "source": "aws.guardduty",
    "account": "111122223333",
    "time": "2026-02-06T18:47:19Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {
        "schemaVersion": "2.0",
        "accountId": "111122223333",
        "region": "us-east-1",
        "partition": "aws",
        "id": "b0b1e3ae11f5c4f3d2e9cafe12345678",
        "arn": "arn:aws:guardduty:us-east-1:111122223333:detector/d0/finding/b0b1e3ae11f5c4f3d2e9cafe12345678",
        "type": "UnauthorizedAccess:IAMUser/MaliciousIPCaller.Custom",
        "resource": {
            "resourceType": "AccessKey",
            "accessKeyDetails": {
                "accessKeyId": ACCESS_KEY,
                "principalId": "AIDAEXAMPLE",
                "userType": "IAMUser",
                "userName": "svc-app",
            },
        },
        "service": {
            "serviceName": "guardduty",
            "detectorId": "d0",
            "action": {"actionType": "AWS_API_CALL", "awsApiCallAction": {"api": "Decrypt"}},
            "eventFirstSeen": "2026-02-06T18:30:00.000Z",
            "eventLastSeen": "2026-02-06T18:45:00.000Z",
            "archived": False,
            "count": 5,
            "additionalInfo": {"value": "{}", "type": "default"},
        },
        "severity": 8,
        "createdAt": "2026-02-06T18:46:00.000Z",
        "updatedAt": "2026-02-06T18:46:00.000Z",
        "title": "API Decrypt was invoked from a known malicious IP address.",
        "description": "...",
    },
}
HEALTH: dict[str, Any] = {
    "version": "0",
    "id": "121345678-1234-1234-1234-123456789012",
    "detail-type": "AWS Health Event",
    "source": "aws.health",
    "account": "111122223333",
    "time": "2026-02-06T06:27:57Z",
    "region": "us-east-1",
    "resources": [ACCESS_KEY],
    "detail": {
        "eventArn": "arn:aws:health:us-east-1::event/RISK/AWS_RISK_CREDENTIALS_EXPOSED/AWS_RISK_CREDENTIALS_EXPOSED_1",
        "service": "RISK",
        "eventTypeCode": "AWS_RISK_CREDENTIALS_EXPOSED",
        "eventTypeCategory": "issue",
        "startTime": "Fri, 06 Feb 2026 05:01:10 GMT",
        "eventDescription": [{"language": "en_US", "latestDescription": "A description."}],
        "affectedEntities": [{"entityValue": ACCESS_KEY, "tags": {}}],
        "statusCode": "open",
        "page": "1",
        "totalPages": "1",
    },
}


@dataclass
class Queue:
    """A queue of its own, and who may read it."""

    account: Account
    url: str
    reader: LabUser

    def send(self, *events: Any) -> None:
        for event in events:
            body = event if isinstance(event, str) else json.dumps(event)
            self.account.lab.client("sqs").send_message(QueueUrl=self.url, MessageBody=body)

    def left(self) -> int:
        """How many messages are not deleted, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        sqs = self.account.lab.client("sqs")
        found = sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def detector(self, **changes: Any) -> AwsEvents:
        connection = {name: value for name, value in self.account.options.items() if name != "type"}
        connection["credential"] = self.reader.credential
        return AwsEvents.open("events", {"connection": connection, "queue_url": self.url, **changes}, clock=now)


@pytest.fixture(scope="module")
def reader(aws: Account) -> LabUser:
    # AWS has no action DeleteMessageBatch, DeleteMessage allows both; ministack wants it by name.
    actions = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:DeleteMessageBatch", "sqs:GetQueueAttributes")
    return aws.lab.create_user("queue-reader", allow(*actions))


@pytest.fixture
def queue(aws: Account, reader: LabUser) -> Queue:
    url = aws.lab.client("sqs").create_queue(QueueName=f"events-{next(NUMBERS)}")["QueueUrl"]
    return Queue(aws, url, reader)


@pytest.fixture(scope="module")
def closed() -> AwsEvents:
    """A detector that calls nobody, for reading alone."""
    connection = {
        "region": "us-east-1",
        "credential": "env:NOT_THERE",
        "recovery_principal": "arn:aws:iam::111122223333:user/r",
    }
    return AwsEvents.open("events", {"connection": connection, "queue_url": "http://127.0.0.1:1/0/q"}, clock=now)


def changed(event: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    event = copy.deepcopy(event)
    place = event
    for name in path[:-1]:
        place = place.setdefault(name, {})
    place[path[-1]] = to
    return event


@pytest.mark.lab
def test_findings_and_notices_are_received(queue: Queue) -> None:
    """Each names the access key; known by the finding's id and the notice's ARN."""
    queue.send(GUARDDUTY, HEALTH)
    signals, _ = queue.detector().poll(cursor="")
    by_id = {signal.external_id: signal for signal in signals}
    finding, notice = by_id[GUARDDUTY["detail"]["id"]], by_id[HEALTH["detail"]["eventArn"]]
    for signal in (finding, notice):
        assert signal.kind is ExposureKind.CREDENTIAL
        assert signal.fingerprints == (Fingerprint(kind="access-key-id", value=ACCESS_KEY),)
    assert (finding.confidence, finding.publicly_leaked) == (0.85, False)
    assert (notice.confidence, notice.publicly_leaked) == (0.95, True)
    assert finding.first_seen is not None
    assert finding.first_seen.isoformat() == "2026-02-06T18:30:00+00:00"
    assert notice.first_seen is not None
    assert notice.first_seen.isoformat() == "2026-02-06T05:01:10+00:00"


@pytest.mark.lab
def test_a_message_is_deleted_by_the_poll_that_shows_the_cursor_kept(queue: Queue) -> None:
    """Reading deletes nothing; coming back with the cursor does."""
    queue.send(GUARDDUTY)
    detector = queue.detector()
    _, cursor = detector.poll(cursor="")
    before = queue.left()
    quiet, cursor = detector.poll(cursor=cursor)
    assert (before, queue.left(), len(quiet)) == (1, 0, 0)
    assert detector.poll(cursor=cursor)[1] == cursor


@pytest.mark.lab
def test_a_crash_before_the_cursor_is_kept_loses_nothing(queue: Queue) -> None:
    """The message comes again to the next process, as the same finding."""
    queue.send(GUARDDUTY)
    (first,), _ = queue.detector(visibility_seconds=0).poll(cursor="")
    (again,), cursor = queue.detector(visibility_seconds=30).poll(cursor="")
    assert first.external_id == again.external_id
    queue.detector().poll(cursor=cursor)
    assert queue.left() == 0


@pytest.mark.lab
def test_a_restart_deletes_what_the_kept_cursor_names(queue: Queue) -> None:
    """The cursor alone is enough: the new process deletes what the old one read."""
    queue.send(GUARDDUTY, HEALTH)
    _, cursor = queue.detector().poll(cursor="")
    quiet, _ = queue.detector().poll(cursor=cursor)
    assert (len(quiet), queue.left()) == (0, 0)


@pytest.mark.lab
def test_an_outdated_receipt_stops_nothing(queue: Queue) -> None:
    """A cursor that was kept for too long: new findings are read all the same."""
    queue.send(HEALTH)
    stale = json.dumps({"receipts": ["no-such-receipt"] * 3})
    signals, _ = queue.detector().poll(cursor=stale)
    assert len(signals) == 1


@pytest.mark.lab
def test_a_missing_permission_to_delete_does_not_stop_the_findings(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    """The alarm matters more than a tidy queue; the log says what is missing."""
    half = queue.account.lab.create_user(f"half-{next(NUMBERS)}", allow("sqs:ReceiveMessage"))
    detector = Queue(queue.account, queue.url, half).detector()
    queue.send(GUARDDUTY)
    _, cursor = detector.poll(cursor="")
    queue.send(HEALTH)
    signals, _ = detector.poll(cursor=cursor)
    assert [each.external_id for each in signals] == [HEALTH["detail"]["eventArn"]]
    assert "cannot be deleted" in caplog.text


@pytest.mark.lab
def test_a_poison_message_is_reported_once_and_left_to_the_redrive(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    """It holds nothing back, is never deleted, and ends in the dead-letter queue; its text is not repeated."""
    sqs = queue.account.lab.client("sqs")
    grave = sqs.create_queue(QueueName=f"grave-{next(NUMBERS)}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=grave, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": redrive})
    queue.send(f'{{"secret": "{SECRET_KEY}"', GUARDDUTY)
    detector = queue.detector(visibility_seconds=0, batches=1)
    cursor, found = "", []
    until = time.monotonic() + 10
    while queue.left() and time.monotonic() < until:
        signals, cursor = detector.poll(cursor=cursor)
        found += signals
    buried = sqs.receive_message(QueueUrl=grave).get("Messages", [])
    assert {each.external_id for each in found} == {GUARDDUTY["detail"]["id"]}
    assert len(buried) == 1
    assert caplog.text.count("left to the queue's redrive") == 1
    assert SECRET_KEY not in caplog.text


@pytest.mark.lab
def test_many_messages_are_read_in_one_poll(queue: Queue) -> None:
    """A burst of findings is not read ten at a time."""
    queue.send(*(changed(GUARDDUTY, "detail", "id", to=f"finding-{number}") for number in range(23)))
    detector = queue.detector()
    signals, cursor = detector.poll(cursor="")
    detector.poll(cursor=cursor)
    assert (len(signals), queue.left()) == (23, 0)


@pytest.mark.lab
def test_the_check_wants_a_redrive_policy(queue: Queue) -> None:
    """Without one, an unreadable message comes again for days."""
    with pytest.raises(Unavailable, match="no redrive policy"):
        queue.detector().check()


@pytest.mark.lab
def test_the_check_says_how_many_messages_wait_and_takes_none(queue: Queue) -> None:
    """A look changes nothing, and a message that waits stays visible."""
    sqs = queue.account.lab.client("sqs")
    grave = sqs.create_queue(QueueName=f"grave-{next(NUMBERS)}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=grave, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": redrive})
    queue.send(GUARDDUTY)
    assert queue.detector().check() == "the queue can be read; 1 messages wait"
    assert len(queue.detector().poll(cursor="")[0]) == 1


@pytest.mark.lab
def test_the_check_tells_a_stranger_from_a_missing_queue(queue: Queue) -> None:
    """One needs a policy, the other an address."""
    stranger = queue.account.lab.create_user(f"stranger-{next(NUMBERS)}", allow("kms:*"))
    with pytest.raises(Refused):
        Queue(queue.account, queue.url, stranger).detector().check()
    with pytest.raises(Unavailable):
        Queue(queue.account, f"{queue.url}-gone", queue.reader).detector().check()


@pytest.mark.lab
def test_a_stranger_is_refused_and_a_missing_queue_named(queue: Queue) -> None:
    """Permission and address are told apart from silence."""
    stranger = queue.account.lab.create_user(f"stranger-{next(NUMBERS)}", allow("kms:*"))
    with pytest.raises(Refused):
        Queue(queue.account, queue.url, stranger).detector().poll(cursor="")
    with pytest.raises(Unavailable):
        Queue(queue.account, f"{queue.url}-gone", queue.reader).detector().poll(cursor="")


def test_nobody_there_is_unreachable(aws: Account, reader: LabUser) -> None:
    """It says nothing about the findings."""
    connection = {name: value for name, value in aws.options.items() if name != "type"}
    connection |= {"credential": reader.credential, "endpoint_url": "http://127.0.0.1:1"}
    options = {"connection": connection, "queue_url": "http://127.0.0.1:1/000000000000/q"}
    with pytest.raises(Unreachable):
        AwsEvents.open("events", options, clock=now).poll(cursor="")
    with pytest.raises(Unreachable):
        AwsEvents.open("events", options, clock=now).check()


@pytest.mark.parametrize(
    "event",
    [
        changed(GUARDDUTY, "detail", "service", "archived", to=True),
        changed(GUARDDUTY, "detail", "service", "additionalInfo", to={"sample": True}),
        changed(GUARDDUTY, "detail", "resource", to={"resourceType": "Instance"}),
        changed(GUARDDUTY, "detail", "resource", "accessKeyDetails", "accessKeyId", to="GeneratedFindingAccessKeyId"),
        changed(HEALTH, "detail", "statusCode", to="closed"),
        changed(HEALTH, "detail", "eventTypeCode", to="AWS_EC2_OPERATIONAL_ISSUE"),
        changed(HEALTH, "source", to="aws.ec2"),
    ],
)
def test_what_is_not_about_a_leaked_key_is_no_signal(closed: AwsEvents, event: dict[str, Any]) -> None:
    """Archived, sampled, closed, or about something else: taken from the queue without a word."""
    assert closed._read(json.dumps(event)) is None


@pytest.mark.parametrize(("severity", "confidence"), [(9.5, 0.95), (8, 0.85), (5, 0.7), (2, 0.5), ("high", 0.5)])
def test_severity_decides_the_confidence(closed: AwsEvents, severity: Any, confidence: float) -> None:
    """GuardDuty's severity runs from 1 to 10."""
    signal = closed._read(json.dumps(changed(GUARDDUTY, "detail", "severity", to=severity)))
    assert signal is not None
    assert signal.confidence == confidence


def test_the_pages_of_one_notice_are_different_findings(closed: AwsEvents) -> None:
    """AWS Health spreads many entities over several events with one ARN."""
    one, two = (closed._read(json.dumps(changed(HEALTH, "detail", "page", to=page))) for page in ("1", "2"))
    assert one is not None
    assert two is not None
    assert two.external_id == f"{one.external_id}#2"


@pytest.mark.parametrize("options", [{"queue_url": "events"}, {"visibility_seconds": -1}, {"colour": "red"}])
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    """An address, times in range, no unknown field."""
    with pytest.raises(InvalidInput, match="detector 'events', field"):
        AwsEvents.open("events", {"connection": {}, "queue_url": "http://q", **options}, clock=now)


@FUZZ
@given(body=mutations(GUARDDUTY) | mutations(HEALTH))
def test_a_strange_message_breaks_nothing(closed: AwsEvents, body: bytes) -> None:
    """A signal, nothing, or a message that is reported."""
    with suppress(InvalidInput):
        signal = closed._read(body.decode())
        assert signal is None or signal.source == "events"
