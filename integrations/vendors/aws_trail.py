"""The KMS call trail, read through CloudTrail's LookupEvents.

Limits of AWS: an event appears up to 15 minutes late, two look-ups a second per region, 90 days back.
Permission: ``cloudtrail:LookupEvents``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from integrations.vendors.aws import translated


@dataclass(frozen=True, slots=True)
class TrailEvent:
    """One recorded call; ``error_code`` is "" when it worked."""

    event_id: str
    at: datetime
    name: str
    principal: str
    access_key_id: str
    source: str
    user_agent: str
    key: str
    error_code: str


def lookup(client: Any, *, since: datetime, attribute: tuple[str, str], subject: str) -> Iterator[TrailEvent]:
    """Events since a time that have one attribute (LookupEvents takes one only), newest first, all pages."""
    wanted = [{"AttributeKey": attribute[0], "AttributeValue": attribute[1]}]
    token: dict[str, str] = {}
    while True:
        with translated(subject):
            page = client.lookup_events(LookupAttributes=wanted, StartTime=since, MaxResults=50, **token)
        for event in page.get("Events", []):
            yield _read(event)
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def _read(event: Mapping[str, Any]) -> TrailEvent:
    detail = json.loads(event.get("CloudTrailEvent") or "{}")
    identity = detail.get("userIdentity") or {}
    resources = detail.get("resources") or []
    return TrailEvent(
        event_id=str(event["EventId"]),
        at=event["EventTime"].astimezone(UTC),
        name=str(event.get("EventName", "")),
        principal=str(identity.get("arn", "")),
        access_key_id=str(identity.get("accessKeyId") or event.get("AccessKeyId") or ""),
        source=str(detail.get("sourceIPAddress", "")),
        user_agent=str(detail.get("userAgent", "")),
        key=next((str(entry.get("ARN", "")) for entry in resources), ""),
        error_code=str(detail.get("errorCode", "")),
    )
