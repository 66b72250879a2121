"""What a person filled in, as data; or what is wrong with it, by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from integrations.findings import redact
from integrations.slack.forms import KIND, KINDS, NOTE, OUTCOME, OUTCOMES, REASON, SEVERITIES, SEVERITY, SINCE, TARGET
from playbooks.exposures import Exposure, ExposureKind, Interval

NO_SECRETS = (
    "This looks like a secret. Take it out: nobody needs it here. To have it recognised, use “Report a leaked key” on"
    " the message that holds it."
)


@dataclass(frozen=True, slots=True)
class Declaration:
    """A filled-in declaration; ``choice`` and ``label`` are the chosen entry of the estate as Slack names it."""

    choice: str
    label: str
    kind: ExposureKind
    since: datetime | None
    severity: str
    note: str

    def exposure(self, target: str) -> Exposure:
        """What is exposed, given the URI that the choice stands for."""
        return Exposure(kind=self.kind, target=target, occurred=Interval(not_before=self.since), confidence=1.0)


@dataclass(frozen=True, slots=True)
class Mistakes:
    """What to correct, by the form's field."""

    by_field: Mapping[str, str]


def declaration(view: Mapping[str, Any], *, now: datetime) -> Declaration | Mistakes:
    """A submitted declaration."""
    wrong: dict[str, str] = {}
    chosen = _field(view, TARGET).get("selected_option") or {}
    kind = _option(view, KIND)
    since = _time(_field(view, SINCE).get("selected_date_time"))
    if not chosen.get("value"):
        wrong[TARGET] = "Choose a key or a credential."
    if kind not in set(KINDS):
        wrong[KIND] = "Choose what has happened."
    if since is not None and since > now:
        wrong[SINCE] = "This is in the future."
    rest = severity_and_note(view)
    if isinstance(rest, Mistakes) or wrong:
        return Mistakes({**wrong, **(rest.by_field if isinstance(rest, Mistakes) else {})})
    label = str((chosen.get("text") or {}).get("text", ""))
    return Declaration(str(chosen["value"]), label, ExposureKind(kind), since, *rest)


def severity_and_note(view: Mapping[str, Any]) -> tuple[str, str] | Mistakes:
    """How bad it is, and what the person wrote beside."""
    severity, note = _option(view, SEVERITY), _text(view, NOTE)
    if severity not in SEVERITIES:
        return Mistakes({SEVERITY: "Choose how bad it is."})
    if redact(note) != note:
        return Mistakes({NOTE: NO_SECRETS})
    return severity, note


def reason(view: Mapping[str, Any]) -> str | Mistakes:
    """Why somebody says no."""
    text = _text(view, REASON)
    if not text:
        return Mistakes({REASON: "Say why, in a few words."})
    return Mistakes({REASON: NO_SECRETS}) if redact(text) != text else text


def outcome(view: Mapping[str, Any]) -> str | Mistakes:
    """How a case ended."""
    found = _option(view, OUTCOME)
    return found if found in OUTCOMES else Mistakes({OUTCOME: "Choose how it ended."})


def _field(view: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    values = view.get("state", {}).get("values", {})
    found = values.get(name, {}).get(name, {})
    return found if isinstance(found, Mapping) else {}


def _option(view: Mapping[str, Any], name: str) -> str:
    return str((_field(view, name).get("selected_option") or {}).get("value", ""))


def _text(view: Mapping[str, Any], name: str) -> str:
    return str(_field(view, name).get("value") or "").strip()


def _time(seconds: Any) -> datetime | None:
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds <= 0:
        return None
    return datetime.fromtimestamp(seconds, UTC)
