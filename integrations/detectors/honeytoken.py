"""Honeytokens: whoever uses one is an intruder.  Takes webhooks in the form of Canarytokens.

``memo``, ``time``, ``token`` (or ``manage_url``), ``src_ip`` and ``useragent``, the last two also below
``additional_data``.  Canarytokens does not sign its webhooks: send them through a proxy that adds the header.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from integrations.findings import masked
from integrations.hooks import HookAuth, parse_json, within_limit
from integrations.reports import moment, read_options, shown
from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from playbooks.ports import Clock


class Bait(BaseModel):
    """What is exposed when a honeytoken is touched: what lay beside it, by its fingerprints."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ExposureKind = ExposureKind.CREDENTIAL
    fingerprints: tuple[Fingerprint, ...] = ()


class HoneytokenOptions(BaseModel):
    """Options of a detector of type ``honeytoken``; ``tokens`` maps a token's id or whole memo to what it guards."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: str = "honeytoken"
    name: str = ""
    auth: HookAuth
    tokens: dict[str, Bait] = Field(default_factory=dict)


class Honeytoken:
    """One confirmed signal (confidence 1) each time a token is touched; known by the token's id and the time.

    A token that ``tokens`` does not list exposes nothing by itself, so that a person looks at it.
    """

    def __init__(self, name: str, options: HoneytokenOptions, *, clock: Clock) -> None:
        self._name = name
        self._options = options
        self._clock = clock

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Validate the options; the secret is read with each webhook.  Raises InvalidInput naming the field."""
        return cls(name, read_options(HoneytokenOptions, name, options), clock=clock)

    def __repr__(self) -> str:
        return f"Honeytoken({self._name!r})"

    def close(self) -> None:
        """Nothing is held open."""

    def hear(self, *, headers: Mapping[str, str], body: bytes) -> Sequence[Signal]:
        """The alert of one webhook.  Raises Refused for a sender that is not ours, InvalidInput for another form."""
        within_limit(body, sender=self._name)
        now = self._clock()
        self._options.auth.check(headers, body, now=now, sender=self._name)
        alert = parse_json(body, sender=self._name)
        if not isinstance(alert, dict):
            raise InvalidInput(f"the webhook of {self._name} must be a JSON object")
        token = _token(alert)
        memo = shown(masked(_text(alert, "memo")), limit=120)
        if not token:
            raise InvalidInput(f"the webhook of {self._name} names no token")
        at = moment(alert.get("time"))
        if at is None:
            raise InvalidInput(f"the webhook of {self._name} has no time that can be read")
        bait = self._options.tokens.get(token) or self._options.tokens.get(_text(alert, "memo")) or Bait()
        agent = shown(masked(_text(alert, "useragent")), limit=60)
        way = f"{_address(alert)} with {agent}" if agent else _address(alert)
        return (
            Signal(
                source=self._name,
                external_id=f"{token}:{at.isoformat()}",
                kind=bait.kind,
                fingerprints=bait.fingerprints,
                summary=f"The honeytoken {memo or token} was touched from {way}.",
                observed_at=now,
                first_seen=at,
                confidence=1.0,
                evidence_uri=f"honeytoken:{token}",
            ),
        )


def _text(alert: Mapping[str, Any], field: str) -> str:
    more = alert.get("additional_data")
    value = alert.get(field) or (more.get(field) if isinstance(more, dict) else None)
    return value if isinstance(value, str) else ""


def _token(alert: Mapping[str, Any]) -> str:
    """The token's id; of ``manage_url`` only that parameter, because another one opens its settings to anybody."""
    token = _text(alert, "token")
    if not token:
        try:
            token = parse_qs(urlsplit(_text(alert, "manage_url")).query).get("token", [""])[0]
        except ValueError:
            return ""
    return token if re.fullmatch(r"[A-Za-z0-9_-]{1,80}", token) else ""


def _address(alert: Mapping[str, Any]) -> str:
    try:
        return str(ip_address(_text(alert, "src_ip")))
    except ValueError:
        return "an unknown address"
