"""The live card and the plan as Slack blocks; the card names no key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from integrations.slack.limits import Json, code_blocks, cut, fit, sentence
from playbooks.card import Button, Card, Deadline

ACTION_PREFIX = "kq:"
_MOST_LINES = 10
_MOST_CHARACTERS = 1_400
_ICONS = {"burning": ":fire:", "working": ":hammer_and_wrench:", "safe": ":shield:", "over": ":white_check_mark:"}

_LABELS: Mapping[Button, tuple[str, str]] = {
    "contain": ("Contain now", "primary"),
    "acknowledge": ("Acknowledge", ""),
    "approve": ("Approve", "primary"),
    "deny": ("Deny", ""),
    "undo": ("Undo", "danger"),
    "stand-down": ("Stand down", "danger"),
}
_WARNINGS: Mapping[Button, tuple[str, str]] = {
    "approve": (
        "Approve this plan?",
        "You agree to plan {digest} and to nothing else. A passkey is asked for where a step cannot be taken back.",
    ),
    "undo": (
        "Take containment back?",
        "What was turned off works again, for the adversary too, if they still hold it. Your passkey is asked for.",
    ),
    "stand-down": ("End this case?", "The response stops here. Say next how it ended; then your passkey is asked for."),
}


def card_message(card: Card) -> Json:
    """Text (for notifications) and blocks of the card, within Slack's limits."""
    mark = "[EXERCISE] " if card.exercise else ""
    text = sentence(f"{mark}{card.codename} ({card.severity}, {card.phase}): {card.burning} Next: {card.next_action}")
    return fit({"text": text, "blocks": card_blocks(card)})


def card_blocks(card: Card) -> list[Json]:
    """The card in the order in which a tired responder needs it: what burns, what holds, what to do."""
    mark = "EXERCISE · " if card.exercise else ""
    title = f"{_ICONS[card.tone]} {mark}{card.codename} · {card.severity} · {card.phase}"
    blocks: list[Json] = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(title, 150), "emoji": True}},
        _section(f"*{sentence(card.burning)}*"),
        _fields(_facts(card)),
    ]
    blocks += _list("Proven", "✔", card.proven)
    blocks += _list("Not proven", "✘", card.not_proven)
    blocks += _list("Warnings", ":warning:", card.warnings)
    blocks += _deadlines(card.deadlines)
    blocks += [_section(f"*Approvals*\n{sentence(card.approvals)}")] if card.approvals else []
    blocks += _list("Census", "•", card.census)
    blocks += [{"type": "divider"}, _section(f"*Next:* {sentence(card.next_action)}")]
    blocks += [{"type": "actions", "block_id": "kq:actions", "elements": buttons(card)}] if card.buttons else []
    return [*blocks, _foot(card)]


def plan_message(card: Card) -> Json:
    """Text and blocks of the plan, within Slack's limits."""
    mark = "[EXERCISE] " if card.exercise else ""
    return fit({"text": f"{mark}The plan for {card.codename} ({card.digest[:12]}).", "blocks": plan_blocks(card)})


def plan_blocks(card: Card) -> list[Json]:
    """The plan's diff, word for word; it names keys, so it belongs only where responders are."""
    mark = "EXERCISE · " if card.exercise else ""
    how = "`-` stops, `+` will be, `~` has a window, `!` cannot be or is not known. Decide on the pinned card."
    return [
        _section(f"*{mark}The plan* · `{card.digest[:12]}`"),
        *code_blocks(card.plan),
        {"type": "context", "elements": [{"type": "mrkdwn", "text": how}]},
    ]


def buttons(card: Card) -> list[Json]:
    """The moves that make sense now; each carries the incident and the digest of the plan that was on show."""
    return [_button(name, card) for name in card.buttons]


def read_value(value: str) -> tuple[str, str]:
    """Incident id and plan digest of a clicked button; ("", "") when the value is not ours."""
    try:
        found = json.loads(value)
        return str(found["i"]), str(found["d"])
    except (ValueError, KeyError, TypeError):
        return "", ""


def moment(at: datetime, form: str = "{date_short_pretty} {time}") -> str:
    """A time in the reader's own zone, and in UTC where Slack cannot show that."""
    return f"<!date^{int(at.timestamp())}^{form}|{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC>"


def _button(name: Button, card: Card) -> Json:
    label, style = _LABELS[name]
    button: Json = {
        "type": "button",
        "action_id": f"{ACTION_PREFIX}{name}",
        "text": {"type": "plain_text", "text": label},
        "value": json.dumps({"i": card.id, "d": card.digest}, separators=(",", ":")),
    }
    if style:
        button["style"] = style
    if name in _WARNINGS:
        title, text = _WARNINGS[name]
        mark = "EXERCISE. " if card.exercise else ""
        words = f"{mark}{text.format(digest=card.digest[:12])}"
        button["confirm"] = {
            "title": {"type": "plain_text", "text": title},
            "text": {"type": "plain_text", "text": cut(words, 300)},
            "confirm": {"type": "plain_text", "text": label},
            "deny": {"type": "plain_text", "text": "Cancel"},
        }
    return button


def _facts(card: Card) -> Iterable[tuple[str, str]]:
    yield "Phase", card.phase
    yield "Taken by", card.acknowledged_by or "nobody yet"
    yield "Blast radius", card.blast_radius
    yield "Adversary's last known use", card.last_use or "none is known"


def _fields(facts: Iterable[tuple[str, str]]) -> Json:
    texts = [f"*{name}*\n{sentence(value) or '—'}" for name, value in facts]
    return {"type": "section", "fields": [{"type": "mrkdwn", "text": cut(each, 500)} for each in texts]}


def _list(title: str, sign: str, sentences: tuple[str, ...]) -> list[Json]:
    if not sentences:
        return []
    lines = [f"{sign} {sentence(each)}" for each in sentences[:_MOST_LINES]]
    left = len(sentences) - len(lines)
    lines += [f"… and {left} more."] if left else []
    return [_section(cut(f"*{title}*\n" + "\n".join(lines), _MOST_CHARACTERS))]


def _deadlines(deadlines: tuple[Deadline, ...]) -> list[Json]:
    lines = [_deadline(each) for each in deadlines[:_MOST_LINES]]
    return [_section("\n".join(["*Deadlines*", *lines]))] if lines else []


def _deadline(deadline: Deadline) -> str:
    late = " *late*" if deadline.margin_seconds < 0 else ""
    return f":alarm_clock: {moment(deadline.at)}{late} · {cut(sentence(deadline.what), 120)}"


def _foot(card: Card) -> Json:
    plan = f" · plan `{card.digest[:12]}`" if card.digest else ""
    mark = "*EXERCISE* · " if card.exercise else ""
    text = f"{mark}{card.id} · opened {moment(card.opened_at)}{plan} · the timeline is in the thread"
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}


def _section(text: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(text, _MOST_CHARACTERS)}}
