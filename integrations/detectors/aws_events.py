"""GuardDuty findings and AWS Health notices of leaked access keys, sent by EventBridge rules to an SQS queue.

The connection's identity needs ``sqs:ReceiveMessage``, ``sqs:DeleteMessage`` and ``sqs:GetQueueAttributes`` on the
queue.  Give the queue a redrive policy: a message that cannot be read is left to it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from integrations.hooks import parse_json
from integrations.reports import moment, read_options, shown
from integrations.vendors.aws import AwsConnection, client, translated
from playbooks.errors import BackendError, InvalidInput, Unavailable
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from playbooks.ports import Clock

_log = logging.getLogger(__name__)
_BATCH = 10
_EXPOSED = {"AWS_RISK_CREDENTIALS_EXPOSED": 0.95, "AWS_RISK_CREDENTIALS_EXPOSURE_SUSPECTED": 0.8}
_SEVERITIES = ((9.0, 0.95), (7.0, 0.85), (4.0, 0.7), (0.0, 0.5))


class AwsEventsOptions(BaseModel):
    """Options of a detector of type ``aws-events``; ``connection`` is one of type ``aws``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: str = "aws-events"
    name: str = ""
    connection: dict[str, Any]
    queue_url: str = Field(pattern=r"^https?://\S+$")
    visibility_seconds: int = Field(default=60, ge=0, le=43200, description="When an unkept message comes again.")
    batches: int = Field(default=5, ge=1, le=100, description="Receive calls a poll, of ten messages each.")


class AwsEvents:
    """One signal a finding (its id) or notice (its ARN) that names an access key.

    The cursor is JSON: the receipts of the messages that were read.  They are deleted by the next poll, because only
    that shows that the caller kept the cursor; until then a crash brings them again.  Messages about anything else are
    deleted in the same way; those that are no EventBridge envelope are reported once and never deleted.
    """

    def __init__(self, name: str, options: AwsEventsOptions, *, clock: Clock) -> None:
        self._name = name
        self._options = options
        self._clock = clock
        self._connection = AwsConnection.read(name, options.connection)
        self._opened: Any = None
        self._poison: dict[str, None] = {}

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Validate the options; nothing is called yet.  Raises InvalidInput naming the field."""
        return cls(name, read_options(AwsEventsOptions, name, options), clock=clock)

    def __repr__(self) -> str:
        return f"AwsEvents({self._name!r})"

    def close(self) -> None:
        """Give up the connections."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def check(self) -> str:
        """Reads the queue's attributes.  Raises Unavailable when nothing takes unreadable messages out of it."""
        with translated(self._options.queue_url):
            answer = self._sqs.get_queue_attributes(QueueUrl=self._options.queue_url, AttributeNames=["All"])
        attributes = answer.get("Attributes", {})
        if not attributes.get("RedrivePolicy"):
            raise Unavailable(
                f"the queue of {self._name} has no redrive policy.",
                subject=self._options.queue_url,
                hint="Give it a dead-letter queue; until then an unreadable message comes again until it expires.",
            )
        return f"the queue can be read; {attributes.get('ApproximateNumberOfMessages', '?')} messages wait"

    def poll(self, *, cursor: str) -> tuple[Sequence[Signal], str]:
        """Delete what the cursor shows to be kept, then receive without waiting.

        Raises Refused, Unreachable, Throttled or Unavailable; then nothing is lost, the messages come again.
        """
        kept: list[str] = json.loads(cursor)["receipts"] if cursor else []
        remaining = self._delete(kept)
        signals: dict[str, Signal] = {}
        for _ in range(self._options.batches):
            messages = self._receive()
            for message in messages:
                try:
                    signal = self._read(str(message.get("Body", "")))
                except InvalidInput as error:
                    self._report(message, error)
                    continue
                remaining.append(str(message["ReceiptHandle"]))
                if signal is not None:
                    signals.setdefault(signal.external_id, signal)
            if len(messages) < _BATCH:
                break
        return list(signals.values()), json.dumps({"receipts": remaining})

    @property
    def _sqs(self) -> Any:
        if self._opened is None:
            self._opened = client(self._connection, "sqs")
        return self._opened

    def _receive(self) -> list[dict[str, Any]]:
        with translated(self._options.queue_url):
            answer = self._sqs.receive_message(
                QueueUrl=self._options.queue_url,
                MaxNumberOfMessages=_BATCH,
                WaitTimeSeconds=0,
                VisibilityTimeout=self._options.visibility_seconds,
            )
        return list(answer.get("Messages", ()))

    def _delete(self, receipts: Sequence[str]) -> list[str]:
        """The receipts that are to be tried again.

        One that is too old, or that may not be deleted, is given up: its message comes again and is recognised.
        """
        again: list[str] = []
        for start in range(0, len(receipts), _BATCH):
            batch = receipts[start : start + _BATCH]
            entries = [{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(batch)]
            try:
                with translated(self._options.queue_url):
                    answer = self._sqs.delete_message_batch(QueueUrl=self._options.queue_url, Entries=entries)
            except BackendError as error:
                if error.retryable:
                    raise
                _log.warning("%s: messages cannot be deleted: %s", self._name, error.message)
                return []
            again += [batch[int(each["Id"])] for each in answer.get("Failed", ()) if not each.get("SenderFault")]
        return again

    def _report(self, message: Mapping[str, Any], error: InvalidInput) -> None:
        identity = str(message.get("MessageId", ""))
        if identity not in self._poison:
            self._poison = dict.fromkeys([*self._poison, identity][-1000:])
            _log.warning("%s: message %s is left to the queue's redrive: %s", self._name, identity, error.message)

    def _read(self, body: str) -> Signal | None:
        """The signal of an envelope; None when it is about something else.  Raises InvalidInput for no envelope."""
        event = parse_json(body.encode(errors="replace"), sender=self._name)
        detail = event.get("detail") if isinstance(event, dict) else None
        if not isinstance(detail, dict) or not isinstance(event.get("source"), str):
            raise InvalidInput(f"the message for {self._name} is no EventBridge envelope (source and detail)")
        if event["source"] == "aws.guardduty":
            return self._finding(detail)
        if event["source"] == "aws.health":
            return self._notice(detail)
        return None

    def _finding(self, detail: Mapping[str, Any]) -> Signal | None:
        """A GuardDuty finding (schema 2.0); archived ones and samples are none."""
        service, resource = _part(detail, "service"), _part(detail, "resource")
        key = _access_key(_part(resource, "accessKeyDetails").get("accessKeyId"))
        sample = _part(service, "additionalInfo").get("sample") is True
        if not key or service.get("archived") is True or sample:
            return None
        identity, severity = shown(detail.get("id"), limit=100), detail.get("severity")
        if not identity:
            raise InvalidInput(f"the finding for {self._name} has no id")
        level = float(severity) if isinstance(severity, int | float) and 0 <= severity <= 10 else 0.0
        return Signal(
            source=self._name,
            external_id=identity,
            kind=ExposureKind.CREDENTIAL,
            fingerprints=(Fingerprint(kind="access-key-id", value=key),),
            summary=f"GuardDuty reports {shown(detail.get('type'), limit=100) or 'misuse'} with {key}"
            f" ({_times(service.get('count'))}, severity {level:g}).",
            observed_at=self._clock(),
            first_seen=moment(service.get("eventFirstSeen")) or moment(detail.get("createdAt")),
            confidence=next((sure for least, sure in _SEVERITIES if level >= least), _SEVERITIES[-1][1]),
            evidence_uri=shown(detail.get("arn"), limit=300),
        )

    def _notice(self, detail: Mapping[str, Any]) -> Signal | None:
        """An AWS Health event about credentials; one that is closed is none."""
        code = detail.get("eventTypeCode")
        if not isinstance(code, str) or code not in _EXPOSED or detail.get("statusCode") == "closed":
            return None
        values = [each.get("entityValue") for each in _list(detail.get("affectedEntities")) if isinstance(each, dict)]
        keys = tuple(dict.fromkeys(filter(None, map(_access_key, values))))
        arn, page = shown(detail.get("eventArn"), limit=300), shown(detail.get("page"), limit=10)
        if not keys or not arn:
            raise InvalidInput(f"the notice for {self._name} names no access key or has no ARN")
        return Signal(
            source=self._name,
            external_id=f"{arn}#{page}" if page not in ("", "1") else arn,
            kind=ExposureKind.CREDENTIAL,
            fingerprints=tuple(Fingerprint(kind="access-key-id", value=key) for key in keys),
            summary=f"AWS Health says that {', '.join(keys[:5])} {'is' if len(keys) == 1 else 'are'} exposed ({code}).",
            observed_at=self._clock(),
            first_seen=moment(detail.get("startTime")),
            confidence=_EXPOSED[code],
            publicly_leaked=True,
            evidence_uri=arn,
        )


def _part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = value.get(name)
    return part if isinstance(part, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _access_key(value: Any) -> str:
    """The id, if it is one: another string might be a secret in the wrong place."""
    right = isinstance(value, str) and value.isascii() and value.isalnum() and value[:4] in ("AKIA", "ASIA")
    return value if right and 16 <= len(value) <= 128 else ""


def _times(count: Any) -> str:
    return f"seen {count} times" if isinstance(count, int) and count > 1 else "seen once"
