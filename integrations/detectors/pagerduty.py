"""Alarms that other tools raised in PagerDuty become findings, by rules that the configuration gives.

Hears webhooks v3 of the type ``incident.triggered``.  They hold an incident's title, service and address, not the
details of its alerts: what is exposed stands in the title, or is fixed by the rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from integrations.findings import redact
from integrations.options import read_options
from integrations.reports import shown
from integrations.vendors.pagerduty import ID, check_references, check_secrets
from integrations.vendors.pagerduty_hooks import WebhookEvent, open_webhook
from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind, Fingerprint, FingerprintKind, Signal
from playbooks.ports import Clock
from playbooks.refs import KeyRef

_LONGEST_TITLE = 4096
"""PagerDuty cuts at 1024; a longer title would make every rule search for long."""
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_FORMS: Mapping[str, re.Pattern[str]] = {
    "access-key-id": re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{12,124}"),
    "token-accessor": re.compile(r"[A-Za-z0-9._-]{8,128}"),
    "key-check-value": re.compile(r"[0-9a-fA-F]{6,64}"),
    "token-sha256": _DIGEST,
    "spki-sha256": _DIGEST,
    "certificate-sha256": _DIGEST,
    "certificate-serial": re.compile(r"[0-9a-fA-F]{8,40}"),
}


class Rule(BaseModel):
    """Which incidents mean which exposure; the first rule that fits decides.

    ``title`` is a regular expression, searched for; its group ``value`` is the fingerprint's value unless ``value`` is
    given.  ``service`` must not be the service that keyquell itself pages through.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    service: str = Field(pattern=ID, description="Id of the PagerDuty service that raises the alarm.")
    title: str = ""
    kind: ExposureKind
    fingerprint: FingerprintKind
    value: str = ""
    confidence: float = Field(default=0.7, ge=0, le=1)
    publicly_leaked: bool = False

    @field_validator("title")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"is no regular expression ({error.msg})") from error
        return value

    @model_validator(mode="after")
    def _has_a_value(self) -> Rule:
        if self.fingerprint == "secret-hmac":
            raise ValueError("an alarm never carries the secret that secret-hmac needs")
        if bool(self.value) == ("value" in re.compile(self.title).groupindex):
            raise ValueError("give either value or a group (?P<value>…) in title")
        if self.value and not _named(self.fingerprint, self.value):
            raise ValueError(f"value is no {self.fingerprint}")
        return self

    def named(self, title: str) -> tuple[Fingerprint, ...] | None:
        """What the title names, () when its value has not the form of the fingerprint; None when it does not fit."""
        found = re.search(self.title, title)
        return None if found is None else _named(self.fingerprint, self.value or found["value"] or "")


class PagerDutyAlertsOptions(BaseModel):
    """Options of a detector of type ``pagerduty``; of ``webhook_secrets``, references, the first that fits counts."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    webhook_secrets: tuple[str, ...] = Field(min_length=1)
    rules: tuple[Rule, ...] = Field(min_length=1)

    _by_reference = field_validator("webhook_secrets")(check_references)


class PagerDutyAlerts:
    """One signal for each incident that a rule fits, however often PagerDuty delivers it."""

    def __init__(self, name: str, options: PagerDutyAlertsOptions, *, clock: Clock) -> None:
        self._name = name
        self._options = options
        self._clock = clock

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Validate ``PagerDutyAlertsOptions``.  Raises InvalidInput naming the detector and the field."""
        place = f"detectors.{name}"
        checked = read_options(PagerDutyAlertsOptions, place, options)
        check_secrets(place, {f"webhook_secrets.{index}": each for index, each in enumerate(checked.webhook_secrets)})
        return cls(name, checked, clock=clock)

    def __repr__(self) -> str:
        return f"PagerDutyAlerts({self._name!r})"

    def hear(self, *, headers: Mapping[str, str], body: bytes) -> Sequence[Signal]:
        """The finding of a signed ``incident.triggered``; nothing for other news and incidents that no rule fits."""
        subject = f"detectors.{self._name}"
        event = open_webhook(headers=headers, body=body, secrets=self._options.webhook_secrets, subject=subject)
        if event.event_type != "incident.triggered":
            return ()
        incident = event.text("id")
        if not re.fullmatch(ID, incident):
            raise InvalidInput(f"the webhook for {subject} is no PagerDuty event: data.id is missing or no id")
        title = event.text("title")[:_LONGEST_TITLE]
        for rule in self._options.rules:
            if rule.service == event.text("service", "id") and (fingerprints := rule.named(title)) is not None:
                return (self._signal(event, title, incident, rule, fingerprints),)
        return ()

    def close(self) -> None:
        """Nothing is held open."""

    def _signal(
        self, event: WebhookEvent, title: str, incident: str, rule: Rule, fingerprints: tuple[Fingerprint, ...]
    ) -> Signal:
        address = event.text("html_url")
        return Signal(
            source=self._name,
            external_id=incident,
            kind=rule.kind,
            fingerprints=fingerprints,
            summary=f"PagerDuty incident {incident} was triggered: {shown(redact(title)) or 'no title'}",
            observed_at=self._clock(),
            first_seen=_aware(event.text("created_at")),
            confidence=rule.confidence,
            publicly_leaked=rule.publicly_leaked,
            evidence_uri=address if re.fullmatch(r"https://[^\s@]+", address) else "",
        )


def _named(kind: FingerprintKind, value: str) -> tuple[Fingerprint, ...]:
    """The fingerprint, if the value has its form: a title is written by whoever caused the alarm."""
    if kind == "key-uri":
        try:
            return (Fingerprint(kind=kind, value=str(KeyRef.parse(value))),)
        except InvalidInput:
            return ()
    form = _FORMS.get(kind)
    if form is not None and not form.fullmatch(value):
        return ()
    plain = kind in ("access-key-id", "token-accessor")
    return (Fingerprint(kind=kind, value=value if plain else value.lower()),) if value else ()


def _aware(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
