"""What knocks at the web door: genuine findings, guessed links, and what of it is written down."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets

from web_office import HOOK_SECRET, LEAKED, WebOffice

from playbooks.record import INSTALLATION

FINDING = json.dumps({"id": "leak-1", "hash": LEAKED["value"]}).encode()
HOOK = "/hooks/detectors/scanner"
OURS = "http://localhost:8750"


def guess() -> str:
    """A token in the form of ours."""
    return secrets.token_urlsafe(32)


def signed(body: bytes, *, by: str = "scanner") -> dict[str, str]:
    """The headers with which the sender would send this body."""
    digest = hmac.new(HOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {
        "scanner": {"x-signature-256": digest},
        "github": {"x-hub-signature-256": f"sha256={digest}", "x-github-event": "secret_scanning_alert"},
        "pagerduty": {"x-pagerduty-signature": f"v1={digest}"},
    }[by]


def events(office: WebOffice) -> int:
    """How much stands in the record, of all chains."""
    records = office.wiring.records
    return sum(records.heads().values()) + len(records.events(INSTALLATION))
