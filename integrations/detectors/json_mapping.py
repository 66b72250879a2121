"""Any scanner that speaks JSON: the settings say where in its document each field stands.

A place is a JSON pointer (RFC 6901, ``/alert/id``) or the same with dots (``alert.id``); "" is the whole item.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from integrations.findings import classify, masked
from integrations.fingerprints import installation_key
from integrations.hooks import HookAuth, check_webhook, parse_json
from integrations.reports import ReportOptions, moment, poll_reports, read_options, shown
from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind, Fingerprint, FingerprintKind, Signal
from playbooks.ports import Clock
from playbooks.refs import KeyRef

_FIELD = re.compile(r"\{([^{}]*)\}")
_ACCESS_KEY = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{12,124}")
_ACCESSOR = re.compile(r"[A-Za-z0-9-]{8,64}(?:\.[A-Za-z0-9]{1,16})?")
_HEX = re.compile(r"[0-9a-f]+")
_DIGITS = {"token-sha256": 64, "spki-sha256": 64, "certificate-sha256": 64, "key-check-value": 6}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class KindAt(_Part):
    """The exposure's kind by a value of the item; ``otherwise`` for values that ``values`` does not list."""

    path: str
    values: dict[str, ExposureKind]
    otherwise: ExposureKind = ExposureKind.CREDENTIAL


class ConfidenceAt(_Part):
    """The confidence by a value of the item."""

    path: str
    values: dict[str, float]
    otherwise: float = Field(default=0.6, ge=0, le=1)

    @field_validator("values")
    @classmethod
    def _in_range(cls, values: dict[str, float]) -> dict[str, float]:
        if not all(0 <= each <= 1 for each in values.values()):
            raise ValueError("a confidence lies between 0 and 1")
        return values


class FingerprintAt(_Part):
    """A fingerprint at a place, of a kind as in the estate; ``secret`` is a live secret, fingerprinted at once."""

    kind: str
    path: str

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        known = {*get_args(FingerprintKind), "secret"} - {"secret-hmac"}
        if kind not in known:
            raise ValueError(f"give one of {', '.join(sorted(known))}")
        return kind


class Only(_Part):
    """A condition for an item to count: the value at ``path``, as JSON writes it, is one of ``values``."""

    path: str
    values: tuple[str, ...]


class JsonMappingOptions(ReportOptions):
    """Options of a detector of type ``json``; without ``auth`` it hears no webhooks."""

    auth: HookAuth | None = None
    items: str = Field(default="", description="Place of the list of findings; the document may be the list, or one.")
    only: tuple[Only, ...] = ()
    external_id: str
    kind: ExposureKind | KindAt | None = Field(
        default=None, description="A constant, or by a value; none: by what the secret looks like."
    )
    fingerprints: tuple[FingerprintAt, ...] = Field(min_length=1)
    summary: str = Field(description="Text with places in braces: Leak {id} in {repository.name}.")
    first_seen: str | None = None
    confidence: float | ConfidenceAt = 0.8
    publicly_leaked: bool | str = Field(default=False, description="A constant, or the place of one.")
    evidence_uri: str | None = None

    @field_validator("confidence")
    @classmethod
    def _in_range(cls, value: float | ConfidenceAt) -> float | ConfidenceAt:
        if isinstance(value, float) and not 0 <= value <= 1:
            raise ValueError("a confidence lies between 0 and 1")
        return value


class JsonMapping:
    """One signal an item; known by what stands at ``external_id``."""

    def __init__(self, name: str, options: JsonMappingOptions, *, clock: Clock) -> None:
        self._name = name
        self._options = options
        self._clock = clock
        self._key = installation_key(options.key_file) if options.key_file else None

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> JsonMapping:
        """Validate ``JsonMappingOptions``; polled with a file or a folder.  Raises InvalidInput naming the field."""
        read = read_options(JsonMappingOptions, name, options)
        return (PolledJsonMapping if read.has_place else cls)(name, read, clock=clock)

    def __repr__(self) -> str:
        return f"JsonMapping({self._name!r})"

    def close(self) -> None:
        """Nothing is held open."""

    def hear(self, *, headers: Mapping[str, str], body: bytes) -> Sequence[Signal]:
        """The findings of one webhook.  Raises Refused for a sender that is not ours, InvalidInput for another form."""
        check_webhook(self._options.auth, headers, body, now=self._clock(), sender=self._name)
        return self.read(body)

    def read(self, document: bytes) -> Sequence[Signal]:
        """The findings of one document.  Raises InvalidInput naming the place that is wrong."""
        found = _at(parse_json(document, sender=self._name), self._options.items)
        if found is None:
            raise InvalidInput(f"the document of {self._name} has nothing at {self._options.items!r}")
        items = found if isinstance(found, list) else [found]
        signals = (self._signal(item, number) for number, item in enumerate(items))
        return list({signal.external_id: signal for signal in signals if signal is not None}.values())

    def _signal(self, item: Any, number: int) -> Signal | None:
        if not isinstance(item, dict):
            raise InvalidInput(f"the document of {self._name}: item {number} is no object")
        options = self._options
        if any(_word(item, each.path) not in each.values for each in options.only):
            return None
        looks, fingerprints, secrets = self._fingerprints(item)
        public = options.publicly_leaked
        return Signal(
            source=self._name,
            external_id=self._identity(item, number, secrets),
            kind=_kind(item, options.kind) or looks,
            fingerprints=fingerprints,
            summary=self._summary(item, secrets),
            observed_at=self._clock(),
            first_seen=moment(_at(item, options.first_seen)) if options.first_seen else None,
            confidence=_confidence(item, options.confidence),
            publicly_leaked=_at(item, public) is True if isinstance(public, str) else public,
            evidence_uri=_shown_at(item, options.evidence_uri, secrets) if options.evidence_uri else "",
        )

    def _fingerprints(self, item: Any) -> tuple[ExposureKind, tuple[Fingerprint, ...], list[str]]:
        """What the item's secrets look like, all fingerprints, and the secrets themselves, to hide them."""
        looks = ExposureKind.CREDENTIAL
        fingerprints: list[Fingerprint] = []
        secrets: list[str] = []
        for each in self._options.fingerprints:
            value = _word(item, each.path).strip()
            if value and each.kind == "secret":
                looks, found = classify(value, key=self._key)
                fingerprints += found
                secrets.append(value)
            elif value:
                fingerprints.append(self._identifier(each, value))
        return looks, tuple(dict.fromkeys(fingerprints)), secrets

    def _identifier(self, place: FingerprintAt, value: str) -> Fingerprint:
        """Raises InvalidInput for a value that is not of the kind: it may be a secret that was put in a wrong field."""
        if place.kind in _DIGITS or place.kind == "certificate-serial":
            value = value.lower().replace(":", "").removeprefix("0x")
        if not _is_of(place.kind, value):
            raise InvalidInput(f"the document of {self._name}: what is at {place.path!r} is no {place.kind}")
        return Fingerprint.model_validate({"kind": place.kind, "value": value})

    def _identity(self, item: Any, number: int, secrets: Sequence[str]) -> str:
        """What is at its place; an id that looks like a secret, as many do, is hashed, so that ids stay distinct."""
        identity = shown(_word(item, self._options.external_id), hide=secrets)
        if not identity.strip("…"):
            place = self._options.external_id
            raise InvalidInput(f"the document of {self._name}: item {number} has no identity at {place!r}")
        return identity if masked(identity) == identity else hashlib.sha256(identity.encode()).hexdigest()

    def _summary(self, item: Any, secrets: Sequence[str]) -> str:
        return _FIELD.sub(lambda found: masked(_shown_at(item, found[1], secrets)) or "?", self._options.summary)


class PolledJsonMapping(JsonMapping):
    """The same, and documents are read from files as they appear."""

    def poll(self, *, cursor: str) -> tuple[Sequence[Signal], str]:
        """The findings of every document that changed since the cursor ("": of all)."""
        return poll_reports(self._options, self.read, cursor=cursor, pattern="*.json")


def _is_of(kind: str, value: str) -> bool:
    """Has the value the form of its kind?"""
    if kind in ("access-key-id", "token-accessor"):
        return bool((_ACCESS_KEY if kind == "access-key-id" else _ACCESSOR).fullmatch(value))
    if kind == "key-uri":
        try:
            return bool(KeyRef.parse(value))
        except InvalidInput:
            return False
    return bool(_HEX.fullmatch(value)) and len(value) == _DIGITS.get(kind, len(value))


def _kind(item: Any, kind: ExposureKind | KindAt | None) -> ExposureKind | None:
    if isinstance(kind, KindAt):
        return kind.values.get(_word(item, kind.path), kind.otherwise)
    return kind


def _confidence(item: Any, confidence: float | ConfidenceAt) -> float:
    if isinstance(confidence, ConfidenceAt):
        return confidence.values.get(_word(item, confidence.path), confidence.otherwise)
    return confidence


def _shown_at(item: Any, path: str, secrets: Sequence[str]) -> str:
    return shown(_word(item, path), hide=secrets)


def _word(item: Any, path: str) -> str:
    """The text at a place, as JSON writes it; "" for nothing there, a list or an object."""
    value = _at(item, path)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""


def _at(value: Any, path: str) -> Any:
    """What stands at a place; None when there is nothing."""
    if path.startswith("/"):
        parts = [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]
    else:
        parts = path.split(".") if path else []
    for part in parts:
        if isinstance(value, list):
            value = value[int(part)] if re.fullmatch("[0-9]{1,6}", part) and int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value
