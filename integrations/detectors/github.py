"""GitHub secret scanning of our own repositories: webhooks (``secret_scanning_alert``) and the list of open alerts.

A webhook names an alert without its secret, so with a token the alert is read at once to fingerprint it.  The token
needs *Secret scanning alerts: read* (fine-grained) or ``security_events``.  Docs: REST "Secret scanning", Webhooks
"secret_scanning_alert" and "Validating webhook deliveries".
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from integrations.findings import classify
from integrations.fingerprints import installation_key
from integrations.hooks import check_hmac, header, parse_json, refuse, shared_secret, within_limit
from integrations.reports import moment, read_options, shown
from integrations.vendors.github import API, GitHubApi
from playbooks.errors import BackendError, InvalidInput
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from playbooks.ports import Clock

_log = logging.getLogger(__name__)
_EVENT = "secret_scanning_alert"
_REPOSITORY = re.compile(r"[A-Za-z0-9_-]{1,100}/[A-Za-z0-9_.-]{0,99}[A-Za-z0-9_-]")
_CONFIDENCE = {"active": 0.95, "inactive": 0.3}
_UNKNOWN_VALIDITY = 0.8
_OVERLAP = timedelta(seconds=60)


class GitHubOptions(BaseModel):
    """Options of a detector of type ``github``: ``secret`` for webhooks, ``token`` with a place to poll, or both."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: str = "github"
    name: str = ""
    secret: str = Field(default="", repr=False, description="Reference to the webhook's secret.")
    token: str = Field(default="", repr=False, description="Reference to a token that may read alerts.")
    repository: str = Field(default="", pattern=rf"^({_REPOSITORY.pattern})?$", description="OWNER/NAME to poll.")
    organization: str = Field(default="", pattern=r"^[A-Za-z0-9-]{0,100}$", description="Or a whole organisation.")
    base_url: str = Field(default=API, pattern=r"^https?://\S+$")
    poll_every_seconds: float = Field(default=60, ge=0, description="GitHub allows 5000 calls an hour.")
    key_file: Path | None = Field(default=None, description="The installation's key, to recognise passwords.")

    @model_validator(mode="after")
    def _has_a_way(self) -> GitHubOptions:
        if not self.secret and not self.token:
            raise ValueError("give secret (for webhooks), token (for polling), or both")
        if self.repository and self.organization:
            raise ValueError("give either repository or organization")
        if not self.secret and not (self.repository or self.organization):
            raise ValueError("give the repository or the organization to poll")
        if not all(each.startswith(("env:", "file:")) for each in (self.secret, self.token) if each):
            raise ValueError("give secrets by reference (env:NAME or file:PATH)")
        return self


class GitHub:
    """One signal an alert, known by repository and number; resolved and revoked ones are none."""

    def __init__(self, name: str, options: GitHubOptions, *, clock: Clock) -> None:
        self._name = name
        self._options = options
        self._clock = clock
        self._key = installation_key(options.key_file) if options.key_file else None
        self._api = GitHubApi(name, base_url=options.base_url, token=options.token)

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> GitHub:
        """Validate ``GitHubOptions``; polled when there is a place to poll.  Raises InvalidInput naming the field."""
        read = read_options(GitHubOptions, name, options)
        polled = read.token and (read.repository or read.organization)
        return (PolledGitHub if polled else cls)(name, read, clock=clock)

    def __repr__(self) -> str:
        return f"GitHub({self._name!r})"

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def check(self) -> str:
        """Reads the webhook's secret.  Raises InvalidInput when it is not there or too short."""
        shared_secret(self._options.secret, sender=self._name)
        return "hears webhooks; they are signed with a secret that is there"

    def hear(self, *, headers: Mapping[str, str], body: bytes) -> Sequence[Signal]:
        """The alert of one webhook; none for a ping.

        A delivery that comes again gives the same signal again.  Raises Refused when the signature is not GitHub's,
        InvalidInput for another event or form.
        """
        within_limit(body, sender=self._name)
        if not self._options.secret:
            refuse(self._name, "no webhook secret is configured", code="secret-missing")
        secret = shared_secret(self._options.secret, sender=self._name)
        given = header(headers, "x-hub-signature-256")
        check_hmac(body, given=given, secret=secret, sender=self._name, prefix="sha256=")
        event = header(headers, "x-github-event")
        if event == "ping":
            return ()
        if event != _EVENT:
            hint = f"Subscribe the webhook to {_EVENT} only, as application/json."
            raise InvalidInput(f"the webhook of {self._name} is about {shown(event, limit=40)!r}", hint=hint)
        payload = parse_json(body, sender=self._name)
        alert, repository = _field(payload, "alert"), _repository(payload)
        number = alert.get("number") if isinstance(alert, dict) else None
        if not repository or type(number) is not int or number < 1:
            raise InvalidInput(f"the webhook of {self._name} lacks alert.number or repository.full_name")
        if payload.get("action") in ("resolved", "revoked") or not _is_open(alert):
            return ()
        return (self._signal(self._with_secret(alert, repository, number), repository, number),)

    def _with_secret(self, alert: Mapping[str, Any], repository: str, number: int) -> Mapping[str, Any]:
        """The alert with its secret, when it can be had; a network that fails does not keep the alarm back."""
        if alert.get("secret") or not self._options.token:
            return alert
        try:
            whole = self._api.get(f"repos/{repository}/secret-scanning/alerts/{number}", {"hide_secret": "false"})
        except (BackendError, InvalidInput) as error:
            _log.warning("%s: the alert %s#%d cannot be read: %s", self._name, repository, number, error.message)
            return alert
        return {**alert, "secret": _field(whole, "secret")}

    def _signal(self, alert: Mapping[str, Any], repository: str, number: int) -> Signal:
        secret = alert.get("secret")
        text = secret if isinstance(secret, str) else ""
        kind, fingerprints = self._fingerprints(text)
        hide = (text, *text.split())
        what = shown(alert.get("secret_type_display_name") or alert.get("secret_type"), hide=hide, limit=80)
        validity = alert.get("validity")
        publicly_leaked = alert.get("publicly_leaked") is True
        return Signal(
            source=self._name,
            external_id=f"{repository}#{number}",
            kind=kind,
            fingerprints=fingerprints,
            summary=f"GitHub found a secret ({what or 'of an unnamed type'}) in {repository}, alert {number}"
            f"{', also in public' if publicly_leaked else ''}.",
            observed_at=self._clock(),
            first_seen=moment(alert.get("created_at")),
            confidence=_CONFIDENCE.get(validity, _UNKNOWN_VALIDITY) if isinstance(validity, str) else _UNKNOWN_VALIDITY,
            publicly_leaked=publicly_leaked,
            evidence_uri=_address(alert, hide),
        )

    def _fingerprints(self, secret: str) -> tuple[ExposureKind, tuple[Fingerprint, ...]]:
        """Of the secret, and of what it is when it was encoded in base64 (``is_base64_encoded``)."""
        if not secret:
            return ExposureKind.CREDENTIAL, ()
        kind, fingerprints = classify(secret, key=self._key)
        try:
            inner = base64.b64decode(secret, validate=True).decode("ascii")
        except (ValueError, binascii.Error):
            return kind, fingerprints
        inner_kind, more = classify(inner, key=self._key)
        surer = inner_kind if any(each.kind != "secret-hmac" for each in more) else kind
        return surer, tuple(dict.fromkeys((*fingerprints, *more)))


class PolledGitHub(GitHub):
    """The same, and open alerts are read as they change.

    The cursor is JSON: the newest change read, and the alerts of the last minute before it, which may be listed late.
    """

    _due: datetime | None = None
    _given: str | None = None

    def poll(self, *, cursor: str) -> tuple[Sequence[Signal], str]:
        """Open alerts that changed since the cursor ("": all).

        Nothing before ``poll_every_seconds`` have passed, unless the last answer's cursor was not kept.
        Raises Refused, NotFound, Throttled or Unreachable.
        """
        now = self._clock()
        if self._due is not None and now < self._due and self._given in (None, cursor):
            return (), cursor
        self._due = now + timedelta(seconds=self._options.poll_every_seconds)
        signals, self._given = self._poll(cursor)
        return signals, self._given

    def check(self) -> str:
        """Reads one alert's place in the list, and the webhook's secret where there is one.

        Raises as ``poll``, and InvalidInput for a secret that is not there or too short.
        """
        if self._options.secret:
            super().check()
        next(self._api.pages(self._path, {"state": "open", "hide_secret": "true", "per_page": 1}), None)
        return f"alerts of {self._options.repository or self._options.organization} can be read"

    def _poll(self, cursor: str) -> tuple[Sequence[Signal], str]:
        state: dict[str, Any] = json.loads(cursor) if cursor else {}
        newest = moment(state.get("newest"))
        seen: dict[str, str] = state.get("seen", {})
        signals: list[Signal] = []
        read: dict[str, datetime] = {}
        for alert, repository, number, changed in self._changed(newest - _OVERLAP if newest else None):
            signal = self._signal(alert, repository, number)
            read[signal.external_id] = changed
            if seen.get(signal.external_id) != changed.isoformat() and _is_open(alert):
                signals.append(signal)
        newest = max([*read.values(), *([newest] if newest else [])], default=None)
        if newest is None:
            return signals, cursor
        late = {identity: changed.isoformat() for identity, changed in read.items() if changed >= newest - _OVERLAP}
        return signals, json.dumps({"newest": newest.isoformat(), "seen": late})

    @property
    def _path(self) -> str:
        place = self._options.repository and f"repos/{self._options.repository}"
        return f"{place or f'orgs/{self._options.organization}'}/secret-scanning/alerts"

    def _changed(self, since: datetime | None) -> Iterator[tuple[Mapping[str, Any], str, int, datetime]]:
        order = {"sort": "updated", "direction": "desc", "per_page": "100"}
        for page in self._api.pages(self._path, {"state": "open", "hide_secret": "false", **order}):
            for alert in page:
                repository = self._options.repository or _repository(alert)
                number = _field(alert, "number")
                if not repository or type(number) is not int:
                    _log.warning("%s: an alert without number or repository is left out", self._name)
                    continue
                changed = moment(alert.get("updated_at")) or moment(alert.get("created_at")) or self._clock()
                if since is not None and changed < since:
                    return
                yield alert, repository, number, changed


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _repository(value: Any) -> str:
    name = _field(_field(value, "repository"), "full_name")
    return name if isinstance(name, str) and _REPOSITORY.fullmatch(name) else ""


def _is_open(alert: Mapping[str, Any]) -> bool:
    return alert.get("state") in (None, "open") and not alert.get("resolution") and not alert.get("resolved_at")


def _address(alert: Mapping[str, Any], hide: Sequence[str]) -> str:
    """The alert's page; its query, if any, is left out."""
    address = alert.get("html_url")
    if not isinstance(address, str) or not address.startswith("https://"):
        return ""
    return shown(address.partition("?")[0].partition("#")[0], hide=hide, limit=400)
