"""What PagerDuty is told about an incident: codenames and phases, never the name of a key.

Limits of the Events API v2: summary 1024 characters, ``dedup_key`` 255.
https://developer.pagerduty.com/docs/send-alert-event
"""

from __future__ import annotations

from typing import Any

from playbooks.errors import InvalidInput
from playbooks.surfaces import CaseView

LONGEST_SUMMARY, LONGEST_KEY = 1024, 255
_LONGEST_DETAIL = 1000


def alert_of(view: CaseView, *, severity: str, link: str) -> dict[str, Any]:
    """``payload`` and ``links`` of a trigger event; ``{id}`` in ``link`` becomes the incident's id, "" is no link."""
    card = view.card
    details = {
        "incident": card.id,
        "codename": card.codename,
        "phase": card.phase,
        "blast radius": card.blast_radius,
        "next action": card.next_action,
        "exercise": "yes" if card.exercise else "no",
    }
    payload = {
        "summary": summary_of(view),
        "source": "keyquell",
        "severity": severity,
        "class": "key compromise",
        "custom_details": {name: _line(text, _LONGEST_DETAIL) for name, text in details.items() if text},
    }
    links = [{"href": link.replace("{id}", card.id), "text": card.codename}] if link else []
    return {"payload": payload, "links": links}


def summary_of(view: CaseView) -> str:
    """What is read out on the phone: marked as an exercise, codename, what is burning; at most 1024 characters."""
    mark = "[EXERCISE] " if view.card.exercise or view.incident.exercise else ""
    return _line(f"{mark}{view.card.codename}: {view.card.burning}", LONGEST_SUMMARY)


def alert_key(incident: str, again: int = 0) -> str:
    """The deduplication key of an incident's alert, or of its n-th further alert; InvalidInput when it is too long."""
    key = f"{incident}#{again}" if again else incident
    if not 0 < len(key) <= LONGEST_KEY:
        raise InvalidInput(f"the incident id makes a deduplication key of {len(key)} characters; 1 to 255 are allowed.")
    return key


def _line(text: str, longest: int) -> str:
    """One line of printable text, cut with an ellipsis."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
