"""A CloudTrail that records as AWS does: who called, from where, on which key, and the error code of a refusal.

ministack 1.5 records only calls that reached their handler, names the access key as the user, and returns no more than
fifty events.  Loaded by ``ministack_launcher`` alone.
"""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

from ministack import app
from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id
from ministack.core.router import detect_service, extract_access_key_id, extract_region
from ministack.services import cloudtrail, kms

_RECORDED = {"kms", "iam", "sts"}
_ERROR_CODE = re.compile(rb'"__type"\s*:\s*"(?:[^"#]*#)?([A-Za-z.]+)"|<Code>([A-Za-z.]+)</Code>')
_PAGE = 50


def install() -> None:
    """Record around the whole dispatch, so that refusals are in the trail too, and page through it."""
    app._maybe_record_cloudtrail = lambda *_arguments: None
    app._dispatch_service_request = _recorded(app._dispatch_service_request)
    cloudtrail._DISPATCH["LookupEvents"] = _lookup


def _recorded(original: Callable[..., Any]) -> Callable[..., Any]:
    async def dispatch(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any], request_id: str
    ) -> tuple[int, dict[str, str], bytes]:
        reply: tuple[int, dict[str, str], bytes] = await original(method, path, headers, body, query, request_id)
        routing = app._routing_params(method, path, headers, body, query)
        service = detect_service(method, path, headers, routing)
        if service in _RECORDED:
            _queue().append(_event(service, method, headers, body, routing, reply, request_id))
        return reply

    return dispatch


def _queue() -> deque[dict[str, Any]]:
    queue: deque[dict[str, Any]] = cloudtrail._get_event_queue()
    return queue


def _event(
    service: str,
    method: str,
    headers: dict[str, str],
    body: bytes,
    query: dict[str, Any],
    reply: tuple[int, dict[str, str], bytes],
    request_id: str,
) -> dict[str, Any]:
    access_key = extract_access_key_id(headers, query)
    identity = iam_evaluator.resolve_caller_identity(access_key) or {}
    name = app._ct_event_name(service, method, "/", headers, query)
    now, event_id, arn = time.time(), str(uuid.uuid4()), identity.get("userArn", "")
    key_arn = _key_arn(body) if service == "kms" else ""
    detail = {
        "eventVersion": "1.11",
        "userIdentity": _identity(arn, access_key),
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "eventSource": f"{service}.amazonaws.com",
        "eventName": name,
        "awsRegion": extract_region(headers),
        "sourceIPAddress": "127.0.0.1",
        "userAgent": headers.get("user-agent", ""),
        "requestID": request_id,
        "eventID": event_id,
        "eventType": "AwsApiCall",
        "resources": [{"ARN": key_arn, "type": "AWS::KMS::Key"}] if key_arn else [],
    }
    code = _ERROR_CODE.search(reply[2]) if reply[0] >= 400 else None
    if code:
        detail["errorCode"] = (code[1] or code[2]).decode()
    return {
        "EventId": event_id,
        "EventName": name,
        "EventSource": f"{service}.amazonaws.com",
        "EventTime": now,
        "Username": arn.rpartition("/")[2],
        "AccessKeyId": access_key,
        "ReadOnly": cloudtrail._is_readonly(method, name),
        "Resources": [{"ResourceName": key_arn, "ResourceType": "AWS::KMS::Key"}] if key_arn else [],
        "CloudTrailEvent": json.dumps(detail),
    }


def _identity(arn: str, access_key: str) -> dict[str, str]:
    kind = {"root": "Root", "assumed-role": "AssumedRole"}.get(arn.rpartition(":")[2].partition("/")[0], "IAMUser")
    return {
        "type": kind,
        "arn": arn,
        "accountId": get_account_id(),
        "accessKeyId": access_key,
        "userName": arn.rpartition("/")[2],
    }


def _key_arn(body: bytes) -> str:
    try:
        data = json.loads(body or b"{}")
    except ValueError:
        return ""
    named = data.get("KeyId") or data.get("SourceKeyId") or data.get("TargetKeyId") or ""
    if not named and data.get("CiphertextBlob"):
        named = base64.b64decode(data["CiphertextBlob"])[:36].decode("ascii", "replace")
    record = kms._resolve_key(named)
    return record["Arn"] if record else ""


def _lookup(body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """LookupEvents with NextToken: newest first, and a page continues after an event id."""
    wanted = {entry["AttributeKey"]: entry["AttributeValue"] for entry in body.get("LookupAttributes", [])}
    size = min(int(body.get("MaxResults") or _PAGE), _PAGE)
    token, more = body.get("NextToken", ""), ""
    page: list[Any] = []
    skipping = bool(token)
    for event in reversed(_queue()):
        if skipping:
            skipping = event["EventId"] != token
            continue
        if not _in_window(event, body) or not _matches(event, wanted):
            continue
        if len(page) == size:
            more = page[-1]["EventId"]
            break
        page.append(event)
    reply: tuple[int, dict[str, str], bytes] = cloudtrail._ok({"Events": page, **({"NextToken": more} if more else {})})
    return reply


def _in_window(event: dict[str, Any], body: dict[str, Any]) -> bool:
    start, end = body.get("StartTime"), body.get("EndTime")
    at = event["EventTime"]
    return (start is None or at >= float(start)) and (end is None or at <= float(end))


def _matches(event: dict[str, Any], wanted: dict[str, str]) -> bool:
    for name, value in wanted.items():
        if name in ("ResourceName", "ResourceType"):
            if not any(resource[name] == value for resource in event["Resources"]):
                return False
        elif event.get(name) != value:
            return False
    return True
