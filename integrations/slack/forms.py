"""The modals: plain data, made from what is known, without a call to anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from integrations.slack.limits import Json, cut, escaped
from playbooks.desk import Target
from playbooks.exposures import Exposure, ExposureKind

DECLARE, REPORT, DENY, STAND_DOWN = "kq_declare", "kq_report", "kq_deny", "kq_stand_down"
TARGET, KIND, SINCE, NOTE, SEVERITY, REASON, OUTCOME = (
    "target", "kind", "since", "note", "severity", "reason", "outcome",
)  # fmt: skip

KINDS: Mapping[ExposureKind, str] = {
    ExposureKind.CREDENTIAL: "Someone can use the key (a credential leaked)",
    ExposureKind.KEY_MATERIAL: "The key itself is out",
    ExposureKind.DATA_KEY: "A data key or the plaintext is out",
    ExposureKind.SIGNING_KEY: "A signing key is out (signatures can be forged)",
    ExposureKind.ISSUING_KEY: "An issuing key is out (CA, tokens, code signing)",
    ExposureKind.POLICY: "Too many may use the key (policy or grant too wide)",
    ExposureKind.ALGORITHM: "The algorithm or its randomness is broken",
    ExposureKind.AVAILABILITY: "The key is being deleted or locked away",
}
"""Kinds of exposure in plain words."""

SEVERITIES = ("critical", "high", "medium", "low")
OUTCOMES: Mapping[str, str] = {
    "false-alarm": "False alarm: nothing was exposed",
    "recovered": "Recovered: contained, renewed and proven",
    "not-contained": "Not contained: we stop here, and the exposure stays",
}
_VALUE, _LABEL = 150, 75


def loading(title: str, words: str) -> Json:
    """What is shown at once, while the form is made."""
    return _modal(title, [_says(words)])


def told(title: str, words: str) -> Json:
    """A modal that only says something."""
    return _modal(title, [_says(words)])


def declaring(*, metadata: Json, chosen: Target | None = None) -> Json:
    """Which key or credential, what has happened to it, since when, how bad."""
    select: Json = {
        "type": "external_select",
        "action_id": TARGET,
        "min_query_length": 1,
        "placeholder": _plain("Search by name, owner or address"),
    }
    if chosen is not None:
        select["initial_option"] = option(chosen)
    blocks = [
        _input(TARGET, "Which key or credential?", select),
        _input(KIND, "What has happened?", _one_of(KIND, {kind.value: words for kind, words in KINDS.items()})),
        _since(),
        *_how_bad_and_note(),
    ]
    return _modal("Declare an incident", blocks, submit="Declare", callback=DECLARE, metadata=metadata)


def reporting(exposures: Sequence[Exposure], summary: str, *, metadata: Json) -> Json:
    """What was recognised in a message; never the message."""
    found = "\n".join(f"• {KINDS[each.kind]}: `{_shown(each.target)}`" for each in exposures[:10])
    more = f"\n… and {len(exposures) - 10} more" if len(exposures) > 10 else ""
    blocks = [
        _says(f"{escaped(summary)}\n{found}{more}"[:2900]),
        {"type": "context", "elements": [_mrkdwn("The text was fingerprinted and is kept nowhere in keyquell.")]},
        *_how_bad_and_note(),
    ]
    return _modal("Report a leaked key", blocks, submit="Declare", callback=REPORT, metadata=metadata)


def denying(*, metadata: Json) -> Json:
    """Why the plan should not be carried out."""
    element = {"type": "plain_text_input", "action_id": REASON, "multiline": True, "min_length": 3, "max_length": 500}
    blocks = [_input(REASON, "Why not?", element, hint="Everybody in the incident reads it. No secrets.")]
    return _modal("Deny the plan", blocks, submit="Deny", callback=DENY, metadata=metadata)


def standing_down(*, metadata: Json) -> Json:
    """How the case ended."""
    blocks = [_input(OUTCOME, "How did it end?", _one_of(OUTCOME, OUTCOMES, kind="radio_buttons"))]
    return _modal("Stand down", blocks, submit="Stand down", callback=STAND_DOWN, metadata=metadata)


def option(target: Target) -> Json:
    """A choice in the search over the estate.

    Slack takes 150 characters as a value: a longer URI is named by its hash and found again by ``same``.
    """
    label = f"{target.label} ({target.kind})"
    return {"text": _plain(cut(label, _LABEL)), "value": _value(target.uri)}


def same(value: str, uri: str) -> bool:
    """Is this the URI that the choice stands for?"""
    return value == _value(uri)


def is_uri(value: str) -> bool:
    """Is the choice's value the URI itself?"""
    return not value.startswith("#")


def _value(uri: str) -> str:
    return uri if len(uri) <= _VALUE else f"#{hashlib.sha256(uri.encode()).hexdigest()}"


def _how_bad_and_note() -> list[Json]:
    severities = _one_of(SEVERITY, {each: each.capitalize() for each in SEVERITIES}, chosen="high")
    note = {"type": "plain_text_input", "action_id": NOTE, "multiline": True, "max_length": 1000}
    hint = "Links, names, times. Never the secret itself: for that, use “Report a leaked key” on the message."
    return [
        _input(SEVERITY, "How bad is it?", severities),
        _input(NOTE, "What makes you think so?", note, hint=hint, optional=True),
    ]


def _since() -> Json:
    picker = {"type": "datetimepicker", "action_id": SINCE}
    return _input(SINCE, "Last known to be good", picker, hint="Leave it empty when nobody knows.", optional=True)


def _modal(
    title: str, blocks: Sequence[Json], *, submit: str = "", callback: str = "kq_told", metadata: Json | None = None
) -> Json:
    view: Json = {
        "type": "modal",
        "callback_id": callback,
        "title": _plain(title),
        "close": _plain("Cancel" if submit else "Close"),
        "blocks": list(blocks),
    }
    if submit:
        view["submit"] = _plain(submit)
    if metadata is not None:
        view["private_metadata"] = json.dumps(metadata, separators=(",", ":"))
    return view


def _input(name: str, label: str, element: Json, *, hint: str = "", optional: bool = False) -> Json:
    block: Json = {"type": "input", "block_id": name, "label": _plain(label), "element": element, "optional": optional}
    return block | ({"hint": _plain(hint)} if hint else {})


def _one_of(name: str, words: Mapping[str, str], *, kind: str = "static_select", chosen: str = "") -> Json:
    options = {value: {"text": _plain(text), "value": value} for value, text in words.items()}
    element: Json = {"type": kind, "action_id": name, "options": list(options.values())}
    return element | ({"initial_option": options[chosen]} if chosen else {})


def _says(words: str) -> Json:
    return {"type": "section", "text": _mrkdwn(words)}


def _mrkdwn(words: str) -> Json:
    return {"type": "mrkdwn", "text": words}


def _plain(words: str) -> Json:
    return {"type": "plain_text", "text": words}


def _shown(uri: str) -> str:
    return cut(escaped(uri).replace("`", "'"), 200)
